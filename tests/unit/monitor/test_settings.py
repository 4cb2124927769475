from __future__ import annotations

import pytest

from services.common.errors import InvalidInput
from services.monitor.settings import MonitorSettings


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "monitor.example", "192.168.1.5"])
def test_beyond_this_machine_a_token_is_required(host: str) -> None:
    with pytest.raises(InvalidInput, match="a token is required"):
        MonitorSettings.read(host=host)
    assert MonitorSettings.read(host=host, token="t").host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_on_this_machine_it_is_not(host: str) -> None:
    assert MonitorSettings.read(host=host).token.get_secret_value() == ""


def test_every_setting_is_described() -> None:
    assert all(field.description for field in MonitorSettings.model_fields.values())


def test_settings_reach_the_tests() -> None:
    settings = MonitorSettings(alpha=0.05, large=0.2, minimum=99, false_abort=0.01, canary_minimum=300)
    assert (settings.thresholds().alpha, settings.thresholds().minimum) == (0.05, 99)
    assert (settings.policy().false_abort, settings.policy().minimum) == (0.01, 300)
