"""What is kept: events that are counted, one record of a wait, what was seen last; and a database that is away."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from annotated_types import Le

from services.arbiter.decide import Decision
from services.arbiter.settings import ArbiterSettings
from services.arbiter.store import DECIDED, Store, quarantined
from services.common.errors import NotFound, Unavailable


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


def test_what_is_told_again_after_a_decision_looked_stays_open(store: Store) -> None:
    event, _ = store.add_event("data", "digits", "x", {}, "me", at=1.0)
    store.add_event("data", "digits", "x", {}, "me", at=5.0)
    answer = Decision("retrain", "data", "1 event", (event,))
    store.record("digits", answer, at=6.0, heard=4.0, key="", data="", parameters={})
    assert list(store.open_events()) == ["digits"]
    store.record("digits", answer, at=7.0, heard=6.0, key="", data="", parameters={})
    assert store.open_events() == {}


def test_an_answered_event_is_found_again_for_a_while(store: Store) -> None:
    event, _ = store.add_event("drift", "digits", "production version 3", {}, "me", at=100.0)
    assert store.answered("drift", "digits", "production version 3", 0.0) is None
    record(store, Decision("refuse", "novelty", "the same", (event,)), at=100.0)
    assert store.answered("drift", "digits", "production version 3", 99.0) == event
    for other in (("drift", "digits", "production version 3", 100.0), ("drift", "birds", "production version 3", 0.0),
                  ("data", "digits", "production version 3", 0.0), ("drift", "digits", "other", 0.0)):  # fmt: skip
        assert store.answered(*other) is None


def test_the_newest_are_listed_and_of_one_application_alone(store: Store) -> None:
    for number in range(5):
        store.add_event(
            "manual", "digits" if number % 2 else "birds", str(number), {"n": number}, "me", at=number
        )
    assert [one["subject"] for one in store.events(limit=3)] == ["4", "3", "2"]
    assert [one["detail"] for one in store.events("digits")] == [{"n": 3}, {"n": 1}]
    for rule in ("one", "two", "three"):
        record(store, Decision("refuse", rule, "no", ()))
    assert [one["rule"] for one in store.decisions("digits", 2)] == ["three", "two"]
    assert store.decisions("birds") == []


def test_as_many_events_as_may_be_open_are_answered_at_once(store: Store) -> None:
    event, _ = store.add_event("data", "digits", "x", {}, "me", at=1.0)
    bounds = ArbiterSettings.model_fields["most_open"].metadata
    most = next(bound.le for bound in bounds if isinstance(bound, Le))
    assert isinstance(most, int)
    record(store, Decision("refuse", "novelty", "made", tuple(range(event, event + most))))
    assert store.open_count() == 0


def test_of_a_thousand_events_the_one_that_is_asked_for_is_named(store: Store) -> None:
    ids = [store.add_event("code", "digits", f"commit {n}", {}, "me", at=1.0)[0] for n in range(120)]
    record(store, Decision("refuse", "before", "other", (ids[1],)))
    id_ = record(store, Decision("retrain", "code", "119 events", tuple(ids[2:])))
    for event in (ids[2], ids[60], ids[-1]):
        (found,) = store.decisions("digits", event=event)
        assert (found["id"], found["event_count"]) == (id_, 118)
        assert event in [one["id"] for one in found["events"]]
    assert len(store.decisions(event=0)) == 2
    assert store.decisions(event=ids[0]) == store.decisions(event=ids[-1] + 1) == []


def test_of_an_application_twenty_trainings_are_known_however_old(store: Store) -> None:
    for number in range(25):
        record(store, Decision("retrain", "manual", "1 event", ()), at=float(number))
    assert sorted(one.started for one in store.trainings(1e9)) == [float(n) for n in range(5, 25)]
    assert len(store.trainings(-1.0)) == 25


def test_another_process_sees_all_of_it(open_store: Callable[[], Store]) -> None:
    first = open_store()
    event, _ = first.add_event("data", "digits", "ä'\";--", {"force": True, "code": "c"}, "me", at=1.0)
    first.remember("digits", data="sha256:1")
    id_ = record(first, Decision("retrain", "data", "1 event", (event,)))
    first.close()
    again = open_store()
    assert again.events()[0]["subject"] == "ä'\";--"
    assert again.seen("digits") == {"data": "sha256:1"}
    assert [one["id"] for one in again.unfinished()] == [id_]
    again.add_event("code", "digits", "again", {"force": True, "code": "c"}, "me", at=2.0)
    ((heard, detail),) = again.open_events()["digits"]
    assert (heard.force, heard.code, detail["subject"]) == (True, "c", "again")


def test_events_from_many_threads_are_all_counted(store: Store) -> None:
    def tell(number: int) -> None:
        store.add_event("data", "digits", f"x{number}", {}, "me", at=1.0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(tell, range(80)))
    assert store.open_count() == len(store.events(limit=1000)) == 80


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


def test_a_database_that_goes_away_later_is_unavailable_from_every_method(tmp_path: Path) -> None:
    path = tmp_path / "arbiter.db"
    store = Store(f"sqlite:///{path}")
    store.close()
    path.unlink()
    path.mkdir()
    calls: list[Callable[[], object]] = [
        store.open_count, store.open_events, store.events, store.decisions, store.unfinished, store.counts,
        lambda: store.trainings(0.0), lambda: store.seen("x"), lambda: store.remember("x", a="b"),
        lambda: store.settle("x", "failed"), lambda: store.forget_before(1.0),
        lambda: store.add_event("data", "x", "", {}, "", at=0.0), lambda: store.answered("data", "x", "", 0.0),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(Unavailable, match="the database of the arbiter is away"):
            call()
