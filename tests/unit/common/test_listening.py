"""When only localhost is answered, and when a token is needed."""

from __future__ import annotations

import pytest
from pydantic_settings import SettingsConfigDict

from services.common.errors import InvalidInput
from services.common.listening import ClosedSettings, ListeningSettings


class Open(ListeningSettings):
    """A service without a token."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_TESTOPEN_", extra="forbid", frozen=True)


class Closed(ClosedSettings):
    """A service with one."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_TESTCLOSED_", extra="forbid", frozen=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_alone_on_this_machine_without_a_token_other_names_are_refused(host: str) -> None:
    for settings in (Open.read(host=host), Closed.read(host=host)):
        hosts = settings.known_hosts()
        assert (
            hosts.knows(b"localhost:1") and not hosts.knows(b"evil.example") and not hosts.knows(b"10.0.0.1")
        )


def test_with_a_token_or_beyond_this_machine_every_name_is_answered() -> None:
    assert Closed.read(token="a-token-for-tests").known_hosts().any
    assert Closed.read(token="a-token-for-tests", host="0.0.0.0").known_hosts().any
    assert Open.read(host="0.0.0.0").known_hosts().any


def test_names_that_are_given_are_the_only_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOKERY_TESTOPEN_HOSTS", '["Rookery.Example", "gpu1."]')
    for host, addresses in (("127.0.0.1", False), ("0.0.0.0", True)):
        hosts = Open.read(host=host).known_hosts()
        assert hosts.knows(b"rookery.example:80") and hosts.knows(b"gpu1") and hosts.knows(b"localhost")
        assert not hosts.knows(b"evil.example") and hosts.knows(b"10.0.0.1") is addresses


@pytest.mark.parametrize("name", ["", "a b", "a:80", "http://a", "-"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="no name of a host"):
        Open.read(hosts=[name])


def test_beyond_this_machine_a_token_is_needed_and_the_variable_is_named() -> None:
    with pytest.raises(
        InvalidInput, match=r"a token is required to listen on 0.0.0.0: set ROOKERY_TESTCLOSED_TOKEN"
    ):
        Closed.read(host="0.0.0.0")
    assert Closed.read(host="0.0.0.0", token="x").has_token
