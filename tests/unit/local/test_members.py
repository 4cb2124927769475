"""The table of the platform's processes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from services.common.errors import InvalidInput
from services.common.settings import SERVICES
from workflows.local import members, platform
from workflows.local.members import CORE, MEMBERS, Member, Place, chosen_members, with_ports
from workflows.local.pids import start_time
from workflows.local.processes import Process, write_pid_file
from workflows.local.services import services, step_configuration
from workflows.local.settings import PlatformSettings


def ports(*packs: str) -> dict[str, int]:
    return {name: 1000 + number for number, name in enumerate(with_ports(chosen_members(packs)))}


def test_every_process_that_listens_has_a_port_of_its_own() -> None:
    names = with_ports(MEMBERS)
    known = [PlatformSettings.model_fields[f"{name.replace('-', '_')}_port"].default for name in names]
    assert len(set(known)) == len(names)


def test_no_process_sets_a_variable_that_another_one_would_refuse(tmp_path: Path) -> None:
    every = tuple(dict.fromkeys(member.pack for member in MEMBERS if member.pack))
    place = Place(PlatformSettings(home=tmp_path), ports(*every))
    for member in MEMBERS:
        for name in member.environment(place) | member.defaults(place):
            own = {f"ROOKERY_{field.upper()}" for field in PlatformSettings.model_fields}
            assert name in own or name.startswith(SERVICES) or not name.startswith("ROOKERY_"), name


def test_what_a_user_has_set_wins_over_defaults_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = PlatformSettings(home=tmp_path)

    def environment() -> dict[str, str]:
        return dict(next(one for one in services(settings, ports()) if one.name == "monitor").env)

    assert json.loads(environment()["ROOKERY_MONITOR_SPOOLS"]) == [str(tmp_path / "spool")]
    monkeypatch.setenv("ROOKERY_MONITOR_SPOOLS", "[]")
    monkeypatch.setenv("ROOKERY_MONITOR_HOST", "0.0.0.0")
    assert environment()["ROOKERY_MONITOR_SPOOLS"] == "[]"
    assert environment()["ROOKERY_MONITOR_HOST"] == "127.0.0.1"


def test_who_labels_elsewhere_starts_no_label_studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = PlatformSettings(home=tmp_path)

    def environment() -> dict[str, str]:
        found = services(settings, ports("labels"), ("labels",))
        return dict(next(one for one in found if one.name == "labels").env)

    assert environment()["ROOKERY_LABELS_STUDIO_URL"] == f"http://127.0.0.1:{ports('labels')['label-studio']}"
    monkeypatch.setenv("ROOKERY_LABELS_STUDIO_URL", "https://labels.example.org")
    assert "label-studio" not in ports("labels")
    assert environment()["ROOKERY_LABELS_STUDIO_URL"] == "https://labels.example.org"
    monkeypatch.delenv("ROOKERY_LABELS_STUDIO_URL")
    monkeypatch.setenv("ROOKERY_LABELS_DESK", str(tmp_path / "desk"))
    assert "label-studio" not in ports("labels")


def test_a_part_that_runs_stays_as_it_was_started(tmp_path: Path) -> None:
    settings = PlatformSettings(home=tmp_path)
    assert platform._added_before(settings) == []
    write_pid_file(tmp_path / "pids" / "labels.json", Process(os.getpid(), start_time(os.getpid()) or ""))
    assert [member.name for member in platform._added_before(settings)] == ["labels"]
    write_pid_file(tmp_path / "pids" / "label-studio.json", Process(os.getpid(), "1"))
    assert [member.name for member in platform._added_before(settings)] == ["labels", "label-studio"]
    (tmp_path / "pids" / "labels.json").unlink()
    assert platform._added_before(settings) == []


def test_a_part_runs_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = Member("extra", pack="more")
    monkeypatch.setattr(members, "MEMBERS", (*MEMBERS, extra))
    monkeypatch.setattr(members, "PACKS", ("more",))
    assert extra not in chosen_members()
    assert extra in chosen_members(("more",))
    assert all(member.pack == CORE for member in chosen_members())
    with pytest.raises(InvalidInput, match="more"):
        chosen_members(("les",))


def test_steps_are_told_only_of_what_there_is(tmp_path: Path) -> None:
    told = step_configuration(PlatformSettings(home=tmp_path), {"mlflow": 1, "train": 2, "evaluate": 3})
    assert told["ROOKERY_TRAIN_URL"] == "http://127.0.0.1:2"
    place = Place(PlatformSettings(home=tmp_path), {})
    assert place.url("monitor") == ""
