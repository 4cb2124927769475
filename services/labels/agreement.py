"""Whether people agree enough to be believed, and what they say together.

Krippendorff's alpha for nominal data (Krippendorff, "Content Analysis", chapter 12; "Computing Krippendorff's
alpha-reliability", 2011): 1 is agreement, 0 what chance gives. It takes any number of people and missing answers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from services.labels.task import Annotation, Answer

State = Literal["passed", "refused", "not enough overlap"]
Value = Hashable
Shared = Mapping[str, Mapping[str, Value]]


@dataclass(frozen=True)
class Gate:
    """When a batch is believed.

    Attributes:
        alpha: agreement that is needed; 0 or less: no gate.
        units: inputs that at least two people must have answered.
        own: of these, how many a person must have answered to be judged.
    """

    alpha: float = 0.6
    units: int = 10
    own: int = 5


@dataclass
class Verdict:
    """What the gate says of a batch.

    Attributes:
        alpha: agreement of those who passed; None: nothing to compare.
        units: inputs that at least two people answered.
        accepted: names of the people who are believed.
        aside: person → why not.
        waiting: person → why that cannot be said yet.
    """

    state: State
    alpha: float | None
    units: int
    accepted: set[str] = field(default_factory=set)
    aside: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)


def krippendorff_alpha(units: Iterable[Sequence[Value]]) -> float | None:
    """Alpha over units, each the values that it was given; None when nothing can be compared.

    One value only, everywhere, leaves alpha undefined, as nobody can be told from a machine that always says the same.
    It is 1 here, as all of the pairs agree, and `judge` believes nobody by it.
    """
    observed, totals, count = 0.0, Counter[Value](), 0
    for values in units:
        size = len(values)
        if size < 2:
            continue
        given = Counter(values)
        totals.update(given)
        count += size
        observed += sum(n * (size - n) for n in given.values()) / (size - 1)
    if not count:
        return None
    expected = sum(n * (count - n) for n in totals.values()) / (count - 1)
    return 1.0 - observed / expected if expected else 1.0


def judge(annotations: Iterable[Annotation], gate: Gate, *, judged: Iterable[str] | None = None) -> Verdict:
    """Who of a batch is believed.

    While somebody agrees too little with the others, or all with each other, the one who agrees least is put aside. If
    no two are left who agree, or those put aside agree with each other and are as many, nobody knows who is wrong, and
    all are put aside.

    Args:
        annotations: the batch, and what people said of its inputs before; of one person the last word counts.
        judged: the people whose batch it is; None: all.
    """
    table = _table(annotations)
    people = {name for values in table.values() for name in values}
    batch = people if judged is None else people & set(judged)
    shared = {digest: values for digest, values in table.items() if len(values) > 1}
    alpha = _alpha(shared, people)
    if gate.alpha <= 0:
        return Verdict("passed", alpha, len(shared), batch)
    own = Counter(name for values in shared.values() for name in values)
    waiting = {
        name: f"answered {own[name]} inputs that others answered too, {gate.own} are needed"
        for name in sorted(batch)
        if own[name] < gate.own
    }
    if len(shared) < gate.units or alpha is None:
        why = f"{len(shared)} inputs were answered by two people, {gate.units} are needed"
        return Verdict("not enough overlap", alpha, len(shared), waiting=dict.fromkeys(sorted(batch), why))
    if not _varied(shared, people):
        why = "all said the same of every input that two people answered, which carelessness says too"
        return Verdict("not enough overlap", alpha, len(shared), waiting=dict.fromkeys(sorted(batch), why))
    comparable = {name for name in people if own[name] >= gate.own}
    kept, aside = _without_the_worst(shared, people, comparable, gate)
    if kept is None:
        why = f"agreement is {alpha:.2f}, {gate.alpha:g} is needed, and it cannot be told who is wrong"
        return Verdict("refused", alpha, len(shared), aside=dict.fromkeys(sorted(batch), why))
    put_aside = {name: why for name, why in aside.items() if name in batch}
    accepted = batch - set(put_aside) - set(waiting)
    left = {name: why for name, why in waiting.items() if name not in put_aside}
    return Verdict("passed", _alpha(shared, kept), len(shared), accepted, put_aside, left)


def consensus(answers: Sequence[Answer]) -> Answer | None:
    """What more than half say; None when nobody has more than half."""
    counted = Counter(answers)
    if not counted:
        return None
    answer, votes = counted.most_common(1)[0]
    return answer if 2 * votes > len(answers) else None


def _without_the_worst(
    shared: Shared, people: set[str], comparable: set[str], gate: Gate
) -> tuple[set[str] | None, dict[str, str]]:
    """Those who agree, and the others with the reason; None: no two agree, or two parties of equal right."""
    kept, aside = set(people), dict[str, str]()
    while True:
        own = {name: _own_alpha(shared, kept, name) for name in sorted(kept & comparable)}
        known = {name: value for name, value in own.items() if value is not None}
        worst = min(known, key=lambda name: known[name], default="")
        alpha = _alpha(shared, kept)
        if alpha is None or _units(shared, kept) < gate.units or not _varied(shared, kept):
            return None, {}
        if alpha >= gate.alpha and (not worst or known[worst] >= gate.alpha):
            break
        if not worst or len(kept) <= 2:
            return None, {}
        aside[worst] = f"agreement with the others is {known[worst]:.2f}, {gate.alpha:g} is needed"
        kept.discard(worst)
    others = _alpha(shared, set(aside))
    if others is not None and others >= gate.alpha and len(aside) >= len(kept & comparable):
        return None, {}
    return kept, aside


def _own_alpha(shared: Shared, people: set[str], name: str) -> float | None:
    """Alpha with the observed disagreement of one person's pairs in place of that of all pairs."""
    pairs = differing = 0
    totals, count = Counter[Value](), 0
    for values in shared.values():
        among = {person: value for person, value in values.items() if person in people}
        if len(among) < 2:
            continue
        totals.update(among.values())
        count += len(among)
        if name in among:
            pairs += len(among) - 1
            differing += sum(value != among[name] for value in among.values())
    if not pairs:
        return None
    expected = sum(n * (count - n) for n in totals.values()) / (count * (count - 1))
    return 1.0 - differing / pairs / expected if expected else 1.0


def _table(annotations: Iterable[Annotation]) -> dict[str, dict[str, Value]]:
    """Digest → person → value; that it cannot be told is a value too."""
    latest: dict[tuple[str, str], Annotation] = {}
    for one in sorted(annotations, key=lambda item: (item.at, item.id)):
        latest[(one.digest, one.annotator)] = one
    table: dict[str, dict[str, Value]] = defaultdict(dict)
    for (digest, annotator), one in latest.items():
        table[digest][annotator] = (one.answer.sure, one.answer.named)
    return dict(table)


def _alpha(shared: Shared, people: set[str]) -> float | None:
    return krippendorff_alpha([v for n, v in values.items() if n in people] for values in shared.values())


def _varied(shared: Shared, people: set[str]) -> bool:
    """Whether more than one value was given to inputs that two of the people answered."""
    both = ([v for n, v in values.items() if n in people] for values in shared.values())
    return len({value for given in both if len(given) > 1 for value in given}) > 1


def _units(shared: Shared, people: set[str]) -> int:
    return sum(len(people & set(values)) > 1 for values in shared.values())
