"""What Prometheus and Alertmanager read on a cluster is what the generator writes."""

from __future__ import annotations

from services.observe.cluster import FOLDER, files


def test_the_files_are_what_is_written() -> None:
    assert {name: (FOLDER / name).read_text() for name in files()} == files(), (
        "run: python -m services.observe.cluster"
    )
