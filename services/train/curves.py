"""The training curves as an SVG picture."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT, _MARGIN = 720, 320, 46
_COLOURS = {
    "train_loss": "#9a6700",
    "validation_loss": "#cf222e",
    "accuracy": "#1a7f37",
    "macro_f1": "#0969da",
    "map": "#8250df",
}


def curves_svg(history: Sequence[dict[str, float]], title: str) -> str:
    """Losses (relative to the highest) and scores (0 to 1) over the epochs."""
    names = [name for name in _COLOURS if history and name in history[0]]
    highest = max([row[name] for row in history for name in names if name.endswith("loss")] or [1.0]) or 1.0
    lines, legend = [], []
    for position, name in enumerate(names):
        share = highest if name.endswith("loss") else 1.0
        points = " ".join(_point(index, len(history), row[name] / share) for index, row in enumerate(history))
        lines.append(f'<polyline fill="none" stroke="{_COLOURS[name]}" stroke-width="2" points="{points}"/>')
        last = f"{name} {history[-1][name]:.4g}"
        legend.append(f'<text x="{_MARGIN + 130 * position}" y="18" fill="{_COLOURS[name]}">{last}</text>')
    bottom, right = _HEIGHT - _MARGIN, _WIDTH - _MARGIN
    axes = f'<path d="M{_MARGIN} 30V{bottom}H{right}" fill="none" stroke="#8c959f"/>'
    caption = f"{escape(title)}: {len(history)} epochs, losses up to {highest:.3g}"
    below = f'<text x="{_MARGIN}" y="{_HEIGHT - 14}">{caption}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12">{axes}{"".join(lines)}{"".join(legend)}{below}</svg>'
    )


def _point(index: int, count: int, share: float) -> str:
    x = _MARGIN + (_WIDTH - 2 * _MARGIN) * index / max(count - 1, 1)
    y = 30 + (_HEIGHT - _MARGIN - 30) * (1 - min(max(share, 0.0), 1.0))
    return f"{x:.1f},{y:.1f}"
