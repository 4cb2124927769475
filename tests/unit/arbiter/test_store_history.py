"""Whatever happens, in whatever order: the store says what a plain list would."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.arbiter.decide import CANCELLED, FAILED, REFUSED, RUNNING, SUCCEEDED, Decision
from services.arbiter.store import DECIDED, Store

APPLICATIONS = st.sampled_from(["digits", "birds"])
KINDS = st.sampled_from(["data", "drift"])
SUBJECTS = st.sampled_from(["", "x", "ü"])
ENDS = st.sampled_from([SUCCEEDED, REFUSED, FAILED, CANCELLED])


@dataclass
class Heard:
    """An event as it should be."""

    id: int
    key: tuple[str, str, str]
    last: float
    times: int = 1
    decision: str = ""


@dataclass
class Decided:
    """A decision as it should be."""

    id: str
    application: str
    verdict: str
    rule: str
    at: float
    outcome: str = ""
    events: list[int] = field(default_factory=list)


class History(RuleBasedStateMachine):
    """A store beside a model of it."""

    @initialize()
    def begin(self) -> None:
        self.store = Store("sqlite://")
        self.now = 0.0
        self.events: list[Heard] = []
        self.decisions: list[Decided] = []

    def teardown(self) -> None:
        self.store.close()

    @rule(application=APPLICATIONS, kind=KINDS, subject=SUBJECTS)
    def tell(self, application: str, kind: str, subject: str) -> None:
        self.now += 1
        id_, fresh = self.store.add_event(kind, application, subject, {}, "me", at=self.now)
        same = [e for e in self.events if e.key == (application, kind, subject) and not e.decision]
        assert fresh is not bool(same)
        if same:
            assert same[0].id == id_
            same[0].times += 1
            same[0].last = self.now
        else:
            self.events.append(Heard(id_, (application, kind, subject), self.now))

    @rule(application=APPLICATIONS, verdict=st.sampled_from(["retrain", "refuse"]), behind=st.integers(0, 3))
    def answer(self, application: str, verdict: Any, behind: int) -> None:
        """`behind`: so much had been told again since the decision looked."""
        self.now += 1
        mine = [e for e in self.events if e.key[0] == application and not e.decision]
        ids = tuple(e.id for e in mine)
        heard = self.now - behind
        id_ = self.store.record(
            application,
            Decision(verdict, "data", "why", ids),
            at=self.now,
            heard=heard,
            key="k",
            data="d",
            parameters={},
        )
        outcome = DECIDED if verdict == "retrain" else ""
        self.decisions.append(Decided(id_, application, verdict, "data", self.now, outcome, list(ids)))
        for event in mine:
            if event.last <= heard:
                event.decision = id_

    @rule(application=APPLICATIONS, name=st.sampled_from(["debounce", "budget"]))
    def wait(self, application: str, name: str) -> None:
        self.now += 1
        ids = [e.id for e in self.events if e.key[0] == application and not e.decision]
        id_ = self.store.record(
            application, Decision("wait", name, "why", tuple(ids)), at=self.now, heard=self.now,
            key="", data="", parameters={},
        )  # fmt: skip
        last = next((d for d in reversed(self.decisions) if d.application == application), None)
        if last is not None and (last.verdict, last.rule) == ("wait", name):
            assert id_ == last.id
            last.events = ids
        else:
            self.decisions.append(Decided(id_, application, "wait", name, self.now, "", ids))

    @rule(data=st.data(), outcome=ENDS)
    def settle(self, data: st.DataObject, outcome: str) -> None:
        open_ = [d for d in self.decisions if d.outcome in (DECIDED, RUNNING)]
        if open_:
            one = data.draw(st.sampled_from(open_))
            one.outcome = RUNNING if one.outcome == DECIDED else outcome
            ended = None if one.outcome == RUNNING else self.now
            self.store.settle(one.id, one.outcome, "said", ended)

    @rule(age=st.floats(0, 30))
    def forget(self, age: float) -> None:
        before = self.now - age
        gone = [e for e in self.events if e.decision and e.last < before]
        past = [d for d in self.decisions if d.outcome not in (DECIDED, RUNNING) and d.at < before]
        assert self.store.forget_before(before) == len(gone) + len(past)
        self.events = [e for e in self.events if e not in gone]
        self.decisions = [d for d in self.decisions if d not in past]

    @invariant()
    def the_events_are_those(self) -> None:
        found = self.store.events(limit=1000)
        assert [(e["id"], e["times"], e["decision"]) for e in found] == [
            (e.id, e.times, e.decision) for e in sorted(self.events, key=lambda e: -e.id)
        ]
        open_ = [e for e in self.events if not e.decision]
        assert self.store.open_count() == len(open_)
        said = {e.id: e.last for pairs in self.store.open_events().values() for e, _ in pairs}
        assert said == {e.id: e.last for e in open_}

    @invariant()
    def the_decisions_are_those(self) -> None:
        found = self.store.decisions(limit=1000)
        assert [(d["id"], d["verdict"], d["outcome"], d["event_count"]) for d in found] == [
            (d.id, d.verdict, d.outcome, len(d.events)) for d in reversed(self.decisions)
        ]
        open_ = [d.id for d in self.decisions if d.outcome in (DECIDED, RUNNING)]
        assert [d["id"] for d in self.store.unfinished()] == open_
        assert sum(self.store.counts().values()) == len(self.decisions)
        trained = {
            d.id: RUNNING if d.outcome == DECIDED else d.outcome
            for d in self.decisions
            if d.verdict == "retrain"
        }
        assert {t.decision: t.outcome for t in self.store.trainings(-1.0)} == trained

    @invariant()
    def a_training_has_a_name_of_its_own(self) -> None:
        names = [d["workflow"] for d in self.store.decisions(limit=1000) if d["verdict"] == "retrain"]
        assert len(set(names)) == len(names) and all(name.startswith("train-model-") for name in names)


History.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
test_history = History.TestCase
