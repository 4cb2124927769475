"""All templates and their YAML as it is committed in `workflows/rendered` and synced by Argo CD."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hera.workflows import CronWorkflow, WorkflowTemplate

from workflows.build_container_image import build_container_image
from workflows.deliver_release import deliver_release
from workflows.promote_model import promote_model
from workflows.release_code import release_code
from workflows.rollback_model import rollback_model
from workflows.train_model import train_model
from workflows.watch_applications import every_quarter_of_an_hour, every_week, watch_applications

RENDERED = Path(__file__).parent / "rendered"
TEMPLATES: tuple[Callable[[], WorkflowTemplate], ...] = (
    train_model,
    build_container_image,
    promote_model,
    rollback_model,
    release_code,
    deliver_release,
    watch_applications,
)
CRONS: tuple[Callable[[], CronWorkflow], ...] = (every_quarter_of_an_hour, every_week)
CRON_FOLDER = "cron"
_HEADER = "# Rendered by `rookery render` from workflows/{module}.py; change that and render again.\n"


def rendered() -> dict[str, str]:
    """File name → YAML of every template."""
    files = {}
    for make in TEMPLATES:
        template = make()
        text = str(template.to_yaml())
        files[f"{template.name}.yaml"] = _HEADER.format(module=make.__name__) + text
    return files


def rendered_crons() -> dict[str, str]:
    """File name → YAML of every CronWorkflow; they lie in the folder `cron`."""
    files = {}
    for make in CRONS:
        cron = make()
        header = _HEADER.format(module=make.__module__.rpartition(".")[2])
        files[f"{cron.name}.yaml"] = header + str(cron.to_yaml())
    return files


def write(folder: Path = RENDERED) -> list[Path]:
    """Write every file whose content differs, remove what is rendered no more; returns what changed."""
    return [*_write(folder, rendered()), *_write(folder / CRON_FOLDER, rendered_crons())]


def _write(folder: Path, files: dict[str, str]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, text in files.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            changed.append(path)
    for path in folder.glob("*.yaml"):
        if path.name not in files:
            path.unlink()
            changed.append(path)
    return changed
