"""Mutexes: all or none, and free again."""

from __future__ import annotations

from pathlib import Path

from workflows.local.mutexes import Mutexes


def test_all_or_none(tmp_path: Path) -> None:
    one, two = Mutexes(tmp_path), Mutexes(tmp_path)
    assert one.acquire("x", ["b"])
    assert one.acquire("x", ["b"])
    assert not two.acquire("y", ["a", "b"])
    assert one.acquire("z", ["a"])
    one.release_all()
    assert two.acquire("y", ["a", "b", "a"])
    assert not one.acquire("x", ["a"])
    two.release("y")
    assert one.acquire("x", ["a", "../b/c"])
    assert {p.parent for p in tmp_path.rglob("*.lock")} == {tmp_path}
    one.release_all()


def test_no_names_need_no_lock(tmp_path: Path) -> None:
    assert Mutexes(tmp_path / "none").acquire("x", [])
    assert not (tmp_path / "none").exists()
