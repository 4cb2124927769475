"""Ports that are free and who has the others."""

from __future__ import annotations

import os
import socket
from pathlib import Path

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
    first = free_ports(5, set())
    assert len(set(first)) == 5
    assert all(is_free(port) for port in first)
    assert not set(free_ports(5, set(first))) & set(first)
    assert free_ports(0, set()) == []


def test_a_free_port_is_none_that_the_kernel_may_give_to_a_client() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert lowest < 20_000 or all(port < lowest for port in free_ports(50, set()))


def test_a_machine_without_free_ports_says_so() -> None:
    with pytest.raises(Unavailable, match="no free port"):
        free_ports(1, set(range(65_536)))
