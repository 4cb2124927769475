"""Output is seen as it comes, a version that will not do is refused, an interrupt reaches Terraform once."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from services.common.errors import InvalidInput, NotFound
from workflows.infra import terraform
from workflows.infra.events import Events
from workflows.infra.terraform import FLAG, Interrupted, Terraform, TerraformFailed, check_version


def script(folder: Path, text: str) -> str:
    path = folder / "terraform"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_options_are_written_as_terraform_takes_them(tmp_path: Path) -> None:
    made = Terraform(tmp_path).command("plan", "x.tfplan", detailed_exitcode=FLAG, lock=False, out="p")
    assert made == [
        "terraform",
        "plan",
        "-no-color",
        "-detailed-exitcode",
        "-lock=false",
        "-out=p",
        "x.tfplan",
    ]


def test_a_version_that_is_new_enough_is_told(tmp_path: Path) -> None:
    assert check_version(script(tmp_path, 'echo \'{"terraform_version": "1.12.0-beta1"}\'')) == "1.12.0-beta1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'echo \'{"terraform_version": "1.8.5"}\'',
            r"Terraform is too old \(got '1.8.5'\); allowed: 1.9.0 or newer",
        ),
        ('echo \'{"terraform_version": "0.12.31"}\'', "Terraform is too old"),
        ("echo hello", "no Terraform that tells its version"),
        ("exit 3", "no Terraform that tells its version"),
    ],
)
def test_what_is_too_old_or_something_else_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        check_version(script(tmp_path, text))


def test_that_it_is_missing_is_said_with_what_helps() -> None:
    with pytest.raises(NotFound, match=r"Terraform is not installed.*ROOKERY_INFRA_TERRAFORM"):
        check_version("/nowhere/terraform")


def test_lines_come_as_they_are_written(tmp_path: Path) -> None:
    binary = script(
        tmp_path, "echo one; for n in $(seq 600); do [ -e seen ] && break; sleep 0.1; done; ls seen"
    )
    said: list[str] = []

    def take(line: str) -> None:
        said.append(line)
        (tmp_path / "seen").touch()

    assert Terraform(tmp_path, binary).show(take, "plan") == 0
    assert [line.strip() for line in said] == ["one", "seen"]


def test_an_interrupt_waits_for_the_state_to_be_written(tmp_path: Path) -> None:
    binary = script(
        tmp_path,
        "trap 'echo once >>asked; sleep 0.5; touch written; exit 1' INT\necho ready\nwhile :; do sleep 0.1; done",
    )

    def take(line: str) -> None:
        if line.startswith("ready"):
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="what was made is in the state"):
        Terraform(tmp_path, binary).show(take, "apply")
    assert (tmp_path / "written").exists()
    assert (tmp_path / "asked").read_text() == "once\n"
    assert signal.getsignal(signal.SIGINT) is before


def test_one_that_does_not_end_after_an_interrupt_is_stopped(tmp_path: Path) -> None:
    binary = script(tmp_path, "trap '' INT\necho ready\nexec sleep 60")
    began = time.monotonic()
    with pytest.raises(Interrupted):
        Terraform(tmp_path, binary, stop_seconds=0.5).events(
            lambda _: os.kill(os.getpid(), signal.SIGTERM), "apply"
        )
    assert time.monotonic() - began < 20


def test_a_command_that_fails_says_terraform_s_first_error(tmp_path: Path) -> None:
    binary = script(tmp_path, "printf '╷\\n│ Error: No such\\n│ thing\\n╵\\n' >&2; exit 1")
    with pytest.raises(TerraformFailed, match=r"terraform output failed: No such thing"):
        Terraform(tmp_path, binary).outputs()
    with pytest.raises(TerraformFailed, match=r"terraform init failed: No such thing"):
        Terraform(tmp_path, binary).init(lambda _: None)


def test_one_that_hangs_is_ended(tmp_path: Path) -> None:
    binary = script(tmp_path, "echo ready; exec sleep 60")
    with pytest.raises(TerraformFailed, match="terraform plan said nothing for 1 seconds and was ended"):
        Terraform(tmp_path, binary, silent_seconds=1).events(lambda _: None, "plan")


def test_a_command_that_says_nothing_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terraform, "_READ_SECONDS", 0.2)
    with pytest.raises(TerraformFailed, match=r"terraform output said nothing within 0\.2 seconds"):
        Terraform(tmp_path, script(tmp_path, "exec sleep 60")).outputs()


def test_no_state_is_no_resources(tmp_path: Path) -> None:
    assert (
        Terraform(tmp_path, script(tmp_path, "echo 'No state file was found!' >&2; exit 1")).resources() == []
    )
    listed = "printf 'libvirt_pool.a\\ndata.x.y\\nmodule.m.data.x.y\\nmodule.m.z.w\\n'"
    assert Terraform(tmp_path, script(tmp_path, listed)).resources() == ["libvirt_pool.a", "module.m.z.w"]


def test_options_of_the_environment_do_not_slip_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CLI_ARGS_apply", "-target=x")
    said: list[str] = []
    Terraform(tmp_path, script(tmp_path, "env"), more={"OS_CLOUD": "tacc"}).show(said.append, "plan")
    assert "OS_CLOUD=tacc" in said and "TF_IN_AUTOMATION=1" in said
    assert not [line for line in said if line.startswith("TF_CLI_ARGS")]


def test_events_of_a_command(tmp_path: Path) -> None:
    error = '{"type":"diagnostic","diagnostic":{"severity":"error","summary":"Bad"}}'
    code, events = Terraform(tmp_path, script(tmp_path, f"echo '{error}'; exit 1")).events(
        lambda _: None, "plan"
    )
    assert code == 1 and isinstance(events, Events) and events.errors == ["Bad"]


def test_an_interrupt_comes_when_nothing_is_lost_by_it(tmp_path: Path) -> None:
    start, end = (
        f'{{"type":"{kind}","@message":"{kind}","hook":{{"action":"create","resource":'
        '{"addr":"openstack_networking_port_v2.a"}}}'
        for kind in ("apply_start", "apply_complete")
    )
    binary = script(
        tmp_path,
        f"trap 'echo asked >>log; exit 1' INT\necho '{start}'\nsleep 1; echo made >>log; echo '{end}'\n"
        "while :; do sleep 0.1; done",
    )

    def take(said: str) -> None:
        if said == "apply_start":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        Terraform(tmp_path, binary).events(take, "apply")
    assert (tmp_path / "log").read_text() == "made\nasked\n"


def test_a_second_interrupt_does_not_wait(tmp_path: Path) -> None:
    start = (
        '{"type":"apply_start","@message":"on","hook":{"action":"create",'
        '"resource":{"addr":"openstack_networking_port_v2.a"}}}'
    )
    binary = script(tmp_path, f"trap 'exit 1' INT\necho '{start}'\nwhile :; do sleep 0.1; done")
    began = time.monotonic()

    def take(_said: str) -> None:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        Terraform(tmp_path, binary).events(take, "apply")
    assert time.monotonic() - began < 20
