"""`python -m services.observe.dashboards`: write the dashboards to where Grafana is provisioned from."""

from __future__ import annotations

import sys

from services.observe.dashboards.files import FOLDER, files


def main() -> int:
    """Write the files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in files().items():
        (FOLDER / name).write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
