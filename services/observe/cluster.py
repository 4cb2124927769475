"""The same configuration for a cluster: `python -m services.observe.cluster` writes it among the manifests."""

from __future__ import annotations

import sys
from pathlib import Path

from services.observe import configuration
from services.observe.configuration import Places
from services.observe.rules import Limits, rules_file

FOLDER = Path(__file__).resolve().parents[2] / "k8s" / "platform"
SCRAPE_SECONDS = 15
PLACES = Places(
    observe="observe.rookery.svc:9099",
    prometheus="127.0.0.1:9090",
    alertmanager="alertmanager.rookery.svc:9093",
    notify="http://notify.rookery.svc:9097",
)


def files() -> dict[str, str]:
    """Path below k8s/platform → content."""
    text = configuration.text
    return {
        f"prometheus/{configuration.PROMETHEUS}": text(configuration.prometheus(PLACES, SCRAPE_SECONDS)),
        f"prometheus/{configuration.RULES}": text(rules_file(Limits())),
        f"alertmanager/{configuration.ALERTMANAGER}": text(configuration.alertmanager(PLACES, token=True)),
    }


def main() -> int:
    """Write the files."""
    for name, content in files().items():
        (FOLDER / name).write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
