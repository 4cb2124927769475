"""Which names of a host are answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.hosts import Hosts

LOCAL = Hosts([])
NAMED = Hosts(["board.example"], addresses=True)


@pytest.mark.parametrize(
    "value",
    [b"localhost", b"localhost:8080", b"LocalHost:1", b"127.0.0.1", b"127.0.0.1:65535", b"127.0.0.2:80",
     b"[::1]", b"[::1]:8080", b"localhost."],
)  # fmt: skip
def test_this_machine_is_known_by_every_port(value: bytes) -> None:
    assert LOCAL.knows(value) and NAMED.knows(value)
    assert LOCAL.knows(value), "also the second time"


@pytest.mark.parametrize(
    "value",
    [b"", b"evil.example", b"evil.example:8080", b"localhost.evil.example", b"evil.localhost", b"localhost:80:evil",
     b"localhost@evil.example", b"127.0.0.1.evil.example", b"localhost evil.example", b"127.1", b"0.0.0.0",
     b"[::1", b"::1", b"[localhost]", b"localhost:http", b"localhost/x", b"\xff"],
)  # fmt: skip
def test_others_are_not(value: bytes) -> None:
    assert not LOCAL.knows(value)
    assert not LOCAL.admits([(b"host", value)])


def test_names_that_were_given_and_addresses() -> None:
    assert NAMED.knows(b"board.example:443") and NAMED.knows(b"BOARD.example")
    assert NAMED.knows(b"10.0.0.7:8085") and NAMED.knows(b"[2001:db8::1]:80")
    assert not NAMED.knows(b"other.example") and not LOCAL.knows(b"10.0.0.7")


def test_each_host_header_must_be_known_and_one_is_needed() -> None:
    known, other = (b"host", b"localhost"), (b"host", b"evil.example")
    assert LOCAL.admits([(b"accept", b"evil.example"), known])
    assert not LOCAL.admits([known, other]) and not LOCAL.admits([other, known])
    assert not LOCAL.admits([(b"accept", b"*/*")])
    assert Hosts(None).admits([]) and Hosts(None).knows(b"evil.example")


def test_a_refusal_says_what_was_asked_for_and_what_is_known() -> None:
    error = NAMED.refusal([(b"host", b"evil.example:80")])
    assert error.answer()[0] == 421
    assert "evil.example:80" in str(error) and "localhost, 127.0.0.1, [::1], board.example" in str(error)


@given(st.binary(max_size=60))
def test_any_bytes_get_the_same_answer_twice(value: bytes) -> None:
    hosts = Hosts(["a.example"])
    assert hosts.knows(value) is hosts.knows(value)


@given(st.from_regex(r"[a-z][a-z0-9.-]{0,30}", fullmatch=True), st.integers(0, 65535))
def test_no_name_but_localhost_is_this_machine(name: str, port: int) -> None:
    assert LOCAL.knows(f"{name}:{port}".encode()) is (name.removesuffix(".") == "localhost")


def test_many_ports_do_not_fill_memory() -> None:
    hosts = Hosts([])
    assert all(hosts.knows(f"localhost:{port}".encode()) for port in range(5000))
    assert len(hosts._seen) < 1000
