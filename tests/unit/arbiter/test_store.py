"""What is kept: events that are counted, one record of a wait, what was seen last; and a database that is away."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.arbiter.decide import Decision
from services.arbiter.store import DECIDED, Store, quarantined
from services.common.errors import NotFound, Unavailable


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path / 'arbiter.db'}")


def record(store: Store, decision: Decision, at: float = 10.0) -> str:
    return store.record("digits", decision, at=at, heard=at, key="k", data="d", parameters={"epochs": "3"})


def test_the_same_open_event_is_counted(store: Store) -> None:
    first, fresh = store.add_event("data", "digits", "x", {"a": 1}, "me", at=1.0)
    again, second = store.add_event("data", "digits", "x", {"a": 1}, "me", at=2.0)
    other, _ = store.add_event("data", "digits", "x", {"a": 2}, "me", at=2.0)
    assert (fresh, second) == (True, False)
    assert first == again != other
    assert [one["times"] for one in store.events()] == [1, 2]
    assert store.open_count() == 2
    assert store.open_events()["digits"][0][0].last == 2.0


def test_a_wait_is_one_record_until_another_rule_speaks(store: Store) -> None:
    event, _ = store.add_event("data", "digits", "x", {}, "me", at=1.0)
    first = record(store, Decision("wait", "debounce", "more may come", (event,), 70.0))
    assert record(store, Decision("wait", "debounce", "more may come", (event, 2), 75.0)) == first
    assert record(store, Decision("wait", "budget", "enough", (event,))) != first
    assert store.open_count() == 1
    assert [one["rule"] for one in store.decisions()] == ["budget", "debounce"]
    assert store.decisions()[1]["event_count"] == 2
    assert store.decisions()[1]["until"] != ""


def test_a_decision_to_train_has_its_workflow_before_it_is_submitted(store: Store) -> None:
    event, _ = store.add_event("manual", "digits", "", {}, "me", at=1.0)
    id_ = record(store, Decision("retrain", "manual", "1 event", (event,)))
    (open_,) = store.unfinished()
    assert (open_["outcome"], open_["workflow"]) == (DECIDED, f"train-model-{id_}")
    assert open_["parameters"] == {"epochs": "3"}
    store.settle(id_, "succeeded", ended=20.0)
    assert store.unfinished() == []
    (training,) = store.trainings(0.0)
    assert (training.outcome, training.ended, training.data) == ("succeeded", 20.0, "d")
    assert store.counts() == {("digits", "retrain", "manual"): 1}
    with pytest.raises(NotFound):
        store.settle("nothing", "failed")


def test_what_was_seen_is_remembered_and_forgotten(store: Store) -> None:
    store.remember("digits", data="x", **{"quarantine sha256:1": "bad"})
    store.remember("digits", data="y")
    assert store.seen("digits") == {"data": "y", "quarantine sha256:1": "bad"}
    assert quarantined(store.seen("digits")) == {"sha256:1": "bad"}
    store.remember("digits", **{"quarantine sha256:1": ""})
    assert quarantined(store.seen("digits")) == {}
    assert store.seen("birds") == {}


def test_what_is_old_is_forgotten_and_what_is_open_is_not(store: Store) -> None:
    old, _ = store.add_event("manual", "digits", "old", {}, "me", at=1.0)
    record(store, Decision("refuse", "novelty", "the same", (old,)), at=2.0)
    store.add_event("manual", "digits", "open", {}, "me", at=1.0)
    assert store.forget_before(100.0) == 2
    assert [one["subject"] for one in store.events()] == ["open"]
    assert store.decisions() == []


def test_a_database_that_is_away_is_unavailable_and_no_password_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        Store("postgresql+psycopg://rookery:verysecret@127.0.0.1:9/arbiter?connect_timeout=2")
    assert "verysecret" not in str(caught.value)
    with pytest.raises(Unavailable):
        Store(f"sqlite:///{tmp_path / 'missing' / 'arbiter.db'}")
