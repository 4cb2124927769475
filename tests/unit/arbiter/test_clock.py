"""The clock goes on, whatever the machine's clock does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.arbiter.clock import Clock


class Machine:
    wall, steady = 1_000_000.0, 0.0


def clock(machine: Machine, saved: tuple[float, float] | None = None) -> Clock:
    return Clock(saved, wall=lambda: machine.wall, steady=lambda: machine.steady)


@given(
    st.lists(
        st.tuples(st.sampled_from(["jump", "pass", "restart"]), st.floats(-1e8, 1e8), st.floats(0, 1e5)),
        max_size=30,
    )
)
def test_it_never_steps_back_and_never_jumps_while_it_runs(history: list[tuple[str, float, float]]) -> None:
    machine = Machine()
    one = clock(machine)
    for what, jump, passed in history:
        before = one.now()
        if what == "jump":
            machine.wall += jump
            assert one.now() == before
        elif what == "pass":
            machine.wall += passed
            machine.steady += passed
            assert abs(one.now() - before - passed) < 1e-3
        else:
            saved = one.to_save()
            machine.wall += jump
            machine.steady = 0.0
            one = clock(machine, saved)
            assert abs(one.now() - before - max(0.0, jump)) < 1e-3
        assert one.now() >= before


def test_the_time_of_a_pause_counts() -> None:
    machine = Machine()
    one = clock(machine)
    machine.steady += 100
    machine.wall += 100
    saved = one.to_save()
    machine.wall += 3600
    assert clock(machine, saved).now() == 3700
