"""Ports that are free and who has the others."""

from __future__ import annotations

import os
import socket

import pytest

from services.common.errors import Unavailable
from workflows.local.ports import describe_owner, free_ports, is_free, owner


def test_a_bound_port_is_taken_by_this_process() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not is_free(port)
        found = owner(port)
        assert found is not None
        assert found[0] == os.getpid()
        assert str(os.getpid()) in describe_owner(port)
    assert is_free(port)
    assert owner(port) is None


def test_free_ports_are_different_and_none_of_those_taken() -> None:
    first = free_ports(5, set(), 15000)
    assert len(set(first)) == 5
    assert all(is_free(port) and 15000 <= port < 16000 for port in first)
    assert not set(free_ports(5, set(first), 15000)) & set(first)
    assert free_ports(0, set(), 15000) == []


def test_a_machine_without_free_ports_says_so() -> None:
    with pytest.raises(Unavailable, match="no port is free from 15000 to 15999"):
        free_ports(1, set(range(65_536)), 15000)
