"""The conformance suite on the real controller gives the nodes that the local engine gives."""

from __future__ import annotations

import os
from pathlib import Path

from tests.conformance.argo import CASES, Runner, site_image, table
from tests.support.cluster import ARGO, WORKFLOWS, Cluster


def test_every_case_ends_as_on_the_local_engine(cluster: Cluster) -> None:
    runner = Runner(cluster.api, WORKFLOWS, site_image(cluster.api, WORKFLOWS))
    try:
        results = runner.run(CASES)
    finally:
        for kind in ("workflows", "workflowtemplates"):
            cluster.api.delete(f"{ARGO}/{WORKFLOWS}/{kind}", labelSelector="rookery/conformance")
    text = table(results)
    print(text)
    if folder := os.environ.get("E2E_RESULTS"):
        Path(folder, "conformance.md").write_text(text + "\n")
    assert len(results) == len(CASES)
    assert [result.case for result in results if result.differences] == [], text
