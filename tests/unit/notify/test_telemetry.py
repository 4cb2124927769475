from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from services.notify.message import Message
from services.notify.outbox import Outbox
from services.notify.telemetry import exposition


def test_every_way_and_state_has_a_figure_from_the_beginning(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o", 10)
    outbox.put("a", Message(kind="gate", subject="s"), ["mail"])
    families = text_string_to_metric_families(exposition(outbox, ["log", "mail"]).decode())
    found = {(s.labels["channel"], s.labels["state"]): s.value for f in families for s in f.samples}
    assert found[("mail", "waiting")] == 1
    assert len(found) == 6 and sum(found.values()) == 1
    outbox.close()
