"""Which inputs are chosen: the random share is fair, the others are what they say, and memory is bounded."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.labels.choosing import Quotas, choose, ranks
from tests.support.labelling import APPLICATION, NOON, Log

HOUR = timedelta(hours=1)


def served(folder: Path, count: int, **changes: object) -> tuple[Log, list[str]]:
    log = Log(folder)
    digests = log.serve([(f"input {n}".encode(), "1") for n in range(count)], keep=False, **changes)  # type: ignore[arg-type]
    return log, digests


def pick(log: Log, quotas: Quotas, salt: int = 1, known: tuple[str, ...] = ()) -> dict[str, list[str]]:
    found = choose(log.archive(), APPLICATION, NOON, NOON + HOUR, quotas, salt, known=known)
    result: dict[str, list[str]] = {}
    for one in found.chosen:
        result.setdefault(one.reason, []).append(one.record.digest)
    return result


def test_an_empty_window_gives_nothing(tmp_path: Path) -> None:
    found = choose(Log(tmp_path).archive(), APPLICATION, NOON, NOON + HOUR, Quotas(5, 5, 5, 5), 1)
    assert (found.chosen, found.predictions, found.probability) == ([], 0, 1.0)


def test_the_least_sure_the_strangest_and_those_that_versions_differ_on(tmp_path: Path) -> None:
    sure = [0.5 + n / 250 for n in range(100)]
    log, digests = served(tmp_path, 100, confidence=sure, novel=[n >= 90 for n in range(100)])
    log.serve(
        [(f"input {n}".encode(), "1") for n in range(40, 60)],
        said=["2" if n % 2 else "1" for n in range(40, 60)],
        confidence=[0.9] * 20,
        keep=False,
        environment="canary",
        version="2",
    )
    found = pick(log, Quotas(0, 5, 3, 4))
    assert found["unsure"] == digests[:5]
    assert sum(map(len, pick(log, Quotas(0, 5, 20, 20)).values())) == 45
    assert found["novel"] == [digests[n] for n in (99, 98, 97)]
    assert found["disagreement"] == [digests[n] for n in (59, 57, 55, 53)]


def test_who_is_sure_is_not_asked(tmp_path: Path) -> None:
    log, _ = served(tmp_path, 20)
    assert pick(log, Quotas(0, 5, 5, 5)) == {}


def test_an_input_is_chosen_once_and_a_known_one_only_by_lot(tmp_path: Path) -> None:
    log, digests = served(tmp_path, 30, confidence=[0.2] * 30, novel=[True] * 30)
    log.serve([(f"input {n}".encode(), "1") for n in range(30)], keep=False, at=NOON + timedelta(minutes=20))
    found = pick(log, Quotas(10, 8, 8), known=tuple(digests[:20]))
    everything = [digest for names in found.values() for digest in names]
    assert len(everything) == len(set(everything))
    assert len(found["random"]) == 10
    assert set(found["random"]) & set(digests[:20])
    assert not (set(found.get("unsure", [])) | set(found["novel"])) & set(digests[:20])


def test_what_the_data_have_already_is_neither_drawn_nor_counted(tmp_path: Path) -> None:
    log, digests = served(tmp_path, 30, confidence=[0.2] * 30, novel=[True] * 30)
    found = choose(
        log.archive(), APPLICATION, NOON, NOON + HOUR, Quotas(10, 5, 5), 1, apart=set(digests[:22])
    )
    assert {one.record.digest for one in found.chosen} == set(digests[22:])
    assert found.probability == 1.0


def test_the_probability_is_that_of_the_sample(tmp_path: Path) -> None:
    log, digests = served(tmp_path, 50)
    found = choose(log.archive(), APPLICATION, NOON, NOON + HOUR, Quotas(10), 77)
    numbers = np.array([int(digest[:16], 16) for digest in digests], np.uint64)
    smallest = np.sort(ranks(numbers, 77))
    assert found.probability == smallest[10]
    assert {one.probability for one in found.chosen} == {smallest[10]}
    everything = choose(log.archive(), APPLICATION, NOON, NOON + HOUR, Quotas(60), 77)
    assert len(everything.chosen) == 50
    assert everything.probability == 1.0


def test_the_same_salt_chooses_the_same_and_another_salt_others(tmp_path: Path) -> None:
    log, _ = served(tmp_path, 200)
    assert pick(log, Quotas(20), 5) == pick(log, Quotas(20), 5)
    assert pick(log, Quotas(20), 5) != pick(log, Quotas(20), 6)


def test_each_input_is_drawn_equally_often_and_the_weights_add_up(tmp_path: Path) -> None:
    log, digests = served(tmp_path, 40, confidence=[0.1] * 20 + [0.99] * 20)
    times = dict.fromkeys(digests, 0)
    sizes = []
    for salt in range(200):
        found = choose(log.archive(), APPLICATION, NOON, NOON + HOUR, Quotas(10), salt * 7919 + 1)
        sizes.append(sum(1 / (one.probability or 1) for one in found.chosen))
        for one in found.chosen:
            times[one.record.digest] += 1
    assert sum(times.values()) == 2000
    assert max(times.values()) < 50 + 5 * 6.2
    assert min(times.values()) > 50 - 5 * 6.2
    assert np.mean(sizes) == pytest.approx(40, rel=0.05)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=120), st.integers(0, 12), st.integers(0, 2**64 - 1))
@settings(max_examples=40, deadline=None)
def test_repeats_do_not_change_the_lot(
    tmp_path_factory: pytest.TempPathFactory, served_: list[int], count: int, salt: int
) -> None:
    once, often = (Log(tmp_path_factory.mktemp("log")) for _ in range(2))
    once.serve([(b"%d" % n, "1") for n in dict.fromkeys(served_)], keep=False)
    often.serve([(b"%d" % n, "1") for n in served_], keep=False)
    drawn = [
        choose(log.archive(), APPLICATION, NOON, NOON + HOUR, Quotas(count), salt) for log in (once, often)
    ]
    first, second = ({one.record.digest for one in found.chosen} for found in drawn)
    assert first == second
    assert drawn[0].probability == drawn[1].probability
    assert len(drawn[0].chosen) == min(count, len(set(served_)))


def test_a_million_records_in_seconds_and_little_memory(tmp_path: Path) -> None:
    import pyarrow as pa

    from services.monitor.tables import PREDICTIONS

    count, random = 250_000, np.random.default_rng(1)

    class Many:
        def served(self, *_: object) -> object:
            for part in range(4):
                digests = random.integers(0, 256, (count, 32), np.uint8)
                digests[: count // 2] = digests[0]
                sure = random.random(count).astype(np.float32)
                offsets = pa.array(np.arange(count + 1), pa.int32())
                columns = {
                    "time": pa.array(
                        np.full(count, int(NOON.timestamp() * 1000) + part), pa.timestamp("ms", "UTC")
                    ),
                    "status": pa.array(np.full(count, 200), pa.int16()),
                    "input_digest": pa.array([row.tobytes() for row in digests], pa.binary(32)),
                    "version": pa.array(["1"] * count).dictionary_encode(),
                    "labels": pa.ListArray.from_arrays(offsets, pa.array(["a"] * count)),
                    "probabilities": pa.ListArray.from_arrays(offsets, pa.array(sure)),
                    "novelty": pa.array(sure),
                    "novel": pa.array(sure > 0.9),
                    "source": pa.array([""] * count).dictionary_encode(),
                }
                assert set(columns) <= set(PREDICTIONS.names)
                yield pa.table(columns)

    import time

    began = time.process_time()
    found = choose(Many(), APPLICATION, NOON, NOON + HOUR, Quotas(20, 10, 10), 9)  # type: ignore[arg-type]
    assert len(found.chosen) == 40
    assert found.predictions == 4 * count
    assert time.process_time() - began < 60
