"""Whether to retrain: a function of what is known and of nothing else. No clock, no file, no network.

Times are seconds of the arbiter's own clock, which never steps back; see `services.arbiter.clock`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["retrain", "wait", "refuse"]
KINDS = ("data", "code", "drift", "labels", "schedule", "manual")
DAY = 86_400.0
RUNNING, SUCCEEDED, REFUSED, FAILED = "running", "succeeded", "refused", "failed"
CANCELLED = "cancelled"


@dataclass(frozen=True)
class Event:
    """Something that may be a reason to train.

    Attributes:
        at: when the arbiter heard of it first, and `last` when it heard the same the last time.
        code: digest of the code that it is about; empty for any.
        force: somebody wants it although nothing has changed.
    """

    id: int
    kind: str
    at: float
    last: float
    code: str = ""
    force: bool = False


@dataclass(frozen=True)
class Recipe:
    """What a training would be made of now.

    Attributes:
        problem: why it cannot be said; then the digests are empty.
        fault: what time alone does not mend: git has no such application, or somebody refuses what was asked.
    """

    key: str = ""
    data: str = ""
    code: str = ""
    problem: str = ""
    fault: Literal["", "application", "asked"] = ""


@dataclass(frozen=True)
class Training:
    """One that was decided before.

    Attributes:
        outcome: running, succeeded, refused (by the gate), cancelled (by somebody), or failed.
        ended: None while it runs.
    """

    decision: str
    application: str
    started: float
    outcome: str
    ended: float | None = None
    key: str = ""
    data: str = ""
    workflow: str = ""


@dataclass(frozen=True)
class Policy:
    """How eager to be; seconds, and trainings in any 24 hours."""

    debounce: float = 60.0
    longest_debounce: float = 900.0
    by_hand_debounce: float = 2.0
    cooldown: float = 3600.0
    daily: int = 4
    daily_total: int = 12
    failures: int = 3
    rest: float = 6 * 3600.0


@dataclass(frozen=True)
class Situation:
    """All that a decision on one application rests on.

    Attributes:
        events: that no decision has answered yet.
        trainings: of all applications, in any order.
        made: keys that a finished training has, with the words for it, such as "run 3f… made version 7".
        quarantined: data digest → why nobody shall train on it.
        blamed: ids of events that ask for parameters which no training takes.
    """

    application: str
    now: float
    events: Sequence[Event]
    recipe: Recipe
    trainings: Sequence[Training] = ()
    made: Mapping[str, str] = field(default_factory=dict)
    quarantined: Mapping[str, str] = field(default_factory=dict)
    blamed: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Decision:
    """The answer to some events.

    Attributes:
        events: that it answers; a `wait` answers none and they stay open.
        until: when a wait will be over, if that can be said.
    """

    verdict: Verdict
    rule: str
    reason: str
    events: tuple[int, ...]
    until: float | None = None


def decide(situation: Situation, policy: Policy) -> Decision | None:
    """The decision on an application; None when nothing is open. The first rule that has something to say, says it."""
    if not situation.events:
        return None
    ready = _ready(situation.events, situation.recipe)
    if not ready:
        return _wait(
            situation,
            situation.events,
            "code",
            "the tip of git has other code than the train service runs; it is not deployed yet",
        )
    for rule in (
        _one_at_a_time, _debounce, _possible, _readable, _quarantine, _failures, _novelty, _cooldown, _budget,
    ):  # fmt: skip
        decision = rule(situation, policy, ready)
        if decision is not None:
            return decision
    kinds = ", ".join(dict.fromkeys(event.kind for event in ready))
    forced = " by force" if _forced(ready) else ""
    return Decision(
        "retrain", ready[0].kind, f"{_count(ready)} ({kinds}){forced}", tuple(event.id for event in ready)
    )


def budget_left(situation: Situation, policy: Policy) -> int:
    """How many trainings of the application may begin now."""
    own, every = _recent(situation)
    return max(0, min(policy.daily - len(own), policy.daily_total - len(every)))


def _one_at_a_time(situation: Situation, policy: Policy, ready: Sequence[Event]) -> Decision | None:
    for training in _own(situation):
        if training.outcome == RUNNING:
            name = training.workflow or f"of decision {training.decision}"
            return _wait(situation, ready, "one at a time", f"workflow {name} is at work")
    return None


def _debounce(situation: Situation, policy: Policy, ready: Sequence[Event]) -> Decision | None:
    by_hand = any(event.kind == "manual" for event in ready)
    quiet = policy.by_hand_debounce if by_hand else policy.debounce
    over = min(
        max(event.last for event in ready) + quiet,
        min(event.at for event in ready) + max(quiet, policy.longest_debounce),
    )
    if situation.now >= over:
        return None
    return _wait(situation, ready, "debounce", f"more may come: quiet for {quiet:g} s is awaited", over)


def _possible(situation: Situation, policy: Policy, ready: Sequence[Event]) -> Decision | None:
    """What waiting does not make possible is refused, so that it holds up no other event."""
    recipe = situation.recipe
    if recipe.fault == "application":
        return _refuse(ready, "possible", recipe.problem)
    blamed = [event for event in ready if event.id in situation.blamed]
    if recipe.fault and blamed:
        return _refuse(blamed, "possible", f"nothing can be trained with these parameters: {recipe.problem}")
    return None


def _readable(situation: Situation, policy: Policy, ready: Sequence[Event]) -> Decision | None:
    if not situation.recipe.problem:
        return None
    return _wait(
        situation, ready, "readable", f"what would be trained is not known: {situation.recipe.problem}"
    )


def _quarantine(situation: Situation, policy: Policy, ready: Sequence[Event]) -> Decision | None:
    why = situation.quarantined.get(situation.recipe.data)
    if why is None or _forced(ready):
        return None
    return _refuse(ready, "quarantine", f"the data {_short(situation.recipe.data)} are in quarantine: {why}")


def _failures(situation: Situation, policy: Policy, ready: Sequence[Event]) -> Decision | None:
    """Data on which trainings have failed again and again; an application whose trainings all fail."""
    if _forced(ready):
        return None
    # One that somebody ended says neither that it would have failed nor that it would not.
    ended = sorted(
        (one for one in _own(situation) if one.ended is not None and one.outcome != CANCELLED),
        key=lambda one: one.started,
    )
    on_data = _failed_in_a_row([one for one in ended if one.data and one.data == situation.recipe.data])
    if on_data >= policy.failures:
        return _refuse(
            ready,
            "bad source",
            f"{on_data} trainings in a row have failed on the data {_short(situation.recipe.data)}; "
            "other data, or force, would be trained",
        )
    in_a_row = _failed_in_a_row(ended)
    if in_a_row >= policy.failures:
        over = (ended[-1].ended or 0.0) + policy.rest
        if situation.now < over:
            return _wait(
                situation, ready, "repeated failures", f"{in_a_row} trainings in a row have failed", over
            )
    return None


def _novelty(situation: Situation, policy: Policy, ready: Sequence[Event]) -> Decision | None:
    made = situation.made.get(situation.recipe.key)
    if made is None or _forced(ready):
        return None
    why = f"the same data, code and parameters were trained: {made}"
    if any(event.kind == "drift" for event in ready):
        why += "; drift needs other data, so label some of what was served"
    return _refuse(ready, "novelty", why)


def _cooldown(situation: Situation, policy: Policy, ready: Sequence[Event]) -> Decision | None:
    ended = [one.ended for one in _own(situation) if one.ended is not None]
    by_hand = any(event.kind == "manual" for event in ready)
    if not ended or by_hand or situation.now >= max(ended) + policy.cooldown:
        return None
    over = max(ended) + policy.cooldown
    return _wait(situation, ready, "cooldown", f"a training ended less than {policy.cooldown:g} s ago", over)


def _budget(situation: Situation, policy: Policy, ready: Sequence[Event]) -> Decision | None:
    own, every = _recent(situation)
    for whose, started, most in (
        (f"of {situation.application}", own, policy.daily),
        ("of all applications", every, policy.daily_total),
    ):
        if len(started) >= most:
            over = sorted(started)[len(started) - most] + DAY if most else None
            return _wait(
                situation, ready, "budget", f"{len(started)} trainings {whose} began in 24 h, of {most}", over
            )
    return None


def _ready(events: Sequence[Event], recipe: Recipe) -> list[Event]:
    """All, or all but pushes of code: the newest push counts, and must be what trainings run."""
    pushed = [event for event in events if event.kind == "code" and event.code]
    newest = max(pushed, key=lambda event: (event.last, event.id), default=None)
    if newest is None or recipe.code in ("", newest.code):
        return list(events)
    return [event for event in events if event not in pushed]


def _own(situation: Situation) -> Iterator[Training]:
    return (one for one in situation.trainings if one.application == situation.application)


def _recent(situation: Situation) -> tuple[list[float], list[float]]:
    every = [one for one in situation.trainings if one.started > situation.now - DAY]
    own = [one.started for one in every if one.application == situation.application]
    return own, [one.started for one in every]


def _failed_in_a_row(ended: Sequence[Training]) -> int:
    count = 0
    for one in reversed(ended):
        if one.outcome != FAILED:
            break
        count += 1
    return count


def _forced(ready: Sequence[Event]) -> bool:
    return any(event.force for event in ready)


def _wait(
    situation: Situation, events: Sequence[Event], rule: str, reason: str, until: float | None = None
) -> Decision:
    return Decision("wait", rule, reason, tuple(event.id for event in events), until)


def _refuse(events: Sequence[Event], rule: str, reason: str) -> Decision:
    return Decision("refuse", rule, reason, tuple(event.id for event in events))


def _count(events: Sequence[Event]) -> str:
    return "1 event" if len(events) == 1 else f"{len(events)} events"


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12] or "unknown"
