from __future__ import annotations

from pathlib import Path

import pytest

from services.common.errors import InvalidInput
from services.notify.settings import NotifySettings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": "0.0.0.0"}, "a token is required to listen on 0.0.0.0"),
        ({"webhook_url": "ftp://x"}, "must begin with http"),
        ({"smtp_host": "mail.example"}, "nobody would get mail"),
        ({"mail_to": ["a@b.example\nBcc: c@d.example"]}, "no mail address"),
        ({"mail_from": "Rookery <a@b.example>"}, "no mail address"),
        ({"mail_kinds": ["gate", "gossip"]}, "no such kind: gossip"),
    ],
)
def test_settings_that_cannot_be_are_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        NotifySettings.read(**given)


def test_lists_come_as_json_and_a_misspelling_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOKERY_NOTIFY_MAIL_TO", '["a@b.example", "c@d.example"]')
    assert NotifySettings.read(host="::1", state_dir=Path("x")).mail_to == ["a@b.example", "c@d.example"]
    monkeypatch.setenv("ROOKERY_NOTIFY_WEBHOK_URL", "http://x")
    with pytest.raises(InvalidInput, match="ROOKERY_NOTIFY_WEBHOOK_URL"):
        NotifySettings.read()
