"""Exit codes: what is tried again and what is a result."""

from pathlib import Path

import pytest

from services.common.errors import DatasetError, InvalidInput, Refused, RookeryError, Unavailable
from workflows.steps.outcome import workflow_step


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unavailable("away"), 1),
        (Refused("no"), 3),
        (InvalidInput("bad", value="x"), 3),
        (DatasetError("empty"), 3),
    ],
)
def test_the_exit_code_says_whether_to_try_again(
    error: RookeryError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    @workflow_step
    def step() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        step()
    assert end.value.code == code
    assert error.message in capsys.readouterr().out


def test_why_it_failed_is_left_for_argo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @workflow_step
    def step() -> None:
        raise Refused("no " + "x" * 9000)

    message = tmp_path / "termination-log"
    monkeypatch.setenv("TERMINATION_MESSAGE_PATH", str(message))
    with pytest.raises(SystemExit):
        step()
    assert not message.exists()  # as on a machine without pods
    message.touch()
    with pytest.raises(SystemExit):
        step()
    assert message.read_text().startswith("refused: no xxx") and message.stat().st_size < 4096


def test_a_bug_stays_a_bug() -> None:
    @workflow_step
    def step() -> None:
        raise KeyError("surprise")

    with pytest.raises(KeyError):
        step()


def test_a_step_keeps_its_name_and_outputs() -> None:
    @workflow_step
    def double(number: int) -> int:
        return 2 * number

    assert double.__name__ == "double"
    assert double(4) == 8
