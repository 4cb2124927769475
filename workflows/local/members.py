"""The table of the platform's processes: one entry each, in the order in which people name them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.common.errors import InvalidInput
from workflows.local.settings import PlatformSettings

HOST = "127.0.0.1"
MLFLOW, TRAIN, EVALUATE, MONITOR, DEPLOYER = "mlflow", "train", "evaluate", "monitor", "deployer"
NOTIFY, ARBITER, BOARD, LABELS, CRON = "notify", "arbiter", "board", "labels", "cron"
OBSERVE, PROMETHEUS, ALERTMANAGER = "observe", "prometheus", "alertmanager"
LABEL_STUDIO = "label-studio"
CORE = ""
# What Prometheus scrapes besides the environments: written by `rookery up`, read by the observe service.
TARGETS_FILE = "config/targets.json"
_MEASURED = (TRAIN, EVALUATE, MONITOR, ARBITER, NOTIFY, LABELS, BOARD, OBSERVE)


@dataclass(frozen=True)
class Place:
    """What a process is made from: the settings, and the ports of all that run with it."""

    settings: PlatformSettings
    ports: Mapping[str, int]

    def url(self, name: str) -> str:
        """The address of another process; empty when it is not part of this platform."""
        return f"http://{HOST}:{self.ports[name]}" if name in self.ports else ""

    def folder(self, name: str) -> str:
        """Where a process keeps its state."""
        return str(self.settings.home / name)


def _nothing(place: Place) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Member:
    """One process.

    Attributes:
        environment: its variables; those that the user has set win over `defaults`, these do not.
        defaults: variables that the user may have set.
        command: its arguments after the interpreter; `-m services.<name>` when there is none.
        program: not Python but this program.
        ready: path that answers 200 when it is ready; empty: it answers no HTTP.
        says: folder of the state folder in which one without HTTP writes its process id to `ready`.
        pack: name for `rookery up --with`; empty: it always belongs to the platform.
        told: variable in which workflow steps are given its address; empty: they do not call it.
        patience: seconds that it may take to start, where that is more than the setting says.
        unless: variables of the user's by which another one does its work, and it is left out.
    """

    name: str
    environment: Callable[[Place], dict[str, str]] = _nothing
    defaults: Callable[[Place], dict[str, str]] = _nothing
    command: Callable[[Place], tuple[str, ...]] | None = None
    program: str = sys.executable
    ready: str = "/readyz"
    says: str = ""
    pack: str = CORE
    told: str = ""
    patience: float = 0
    unless: tuple[str, ...] = ()

    def argv(self, place: Place) -> tuple[str, ...]:
        """What is started."""
        words = self.command(place) if self.command else ("-m", f"services.{self.name}")
        return (self.program, *words)


def _mlflow(place: Place) -> tuple[str, ...]:
    home = place.settings.home
    return (
        *("-m", "mlflow", "server", "--host", HOST, "--port", str(place.ports[MLFLOW]), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"),
        *("--artifacts-destination", str(home / "mlflow" / "artifacts"), "--serve-artifacts"),
    )


def _listens(name: str, place: Place) -> dict[str, str]:
    prefix = f"ROOKERY_{name.upper()}_"
    return {f"{prefix}HOST": HOST, f"{prefix}PORT": str(place.ports[name])}


def _works(name: str, place: Place) -> dict[str, str]:
    prefix = f"ROOKERY_{name.upper()}_"
    return _listens(name, place) | {
        f"{prefix}MLFLOW_URL": place.url(MLFLOW),
        f"{prefix}STATE_DIR": place.folder(name),
        f"{prefix}CACHE_DIR": place.folder("data"),
    }


def _deployer(place: Place) -> dict[str, str]:
    settings = place.settings
    return {"ROOKERY_HOME": str(settings.home), "ROOKERY_REPOSITORY": str(settings.repository)}


def _telling(place: Place) -> dict[str, str]:
    return {"ROOKERY_NOTICES_URL": place.url(NOTIFY)}


def _arbiter(place: Place) -> dict[str, str]:
    home = place.settings.home
    return {
        **_listens(ARBITER, place),
        **_telling(place),
        "ROOKERY_ARBITER_DATABASE": f"sqlite:///{home / ARBITER / 'arbiter.db'}",
        "ROOKERY_ARBITER_CACHE": place.folder("cache"),
        "ROOKERY_ARBITER_HOME": str(home),
        "ROOKERY_ARBITER_GIT_REMOTE": str(place.settings.gitops),
        "ROOKERY_ARBITER_TRAIN_URL": place.url(TRAIN),
        "ROOKERY_ARBITER_MLFLOW_URL": place.url(MLFLOW),
    }


def _board(place: Place) -> dict[str, str]:
    # It finds the others by the state of `rookery up`, since parts may be added while it runs.
    return {
        **_deployer(place),
        **_listens(BOARD, place),
        "ROOKERY_BOARD_STATE_DIR": place.folder(BOARD),
    }


def _labels(place: Place) -> dict[str, str]:
    return {
        **_listens(LABELS, place),
        **_telling(place),
        "ROOKERY_LABELS_STATE_DIR": place.folder(LABELS),
        "ROOKERY_LABELS_CACHE_DIR": place.folder("data"),
        "ROOKERY_LABELS_MONITOR_STORE": place.folder(MONITOR),
        "ROOKERY_LABELS_APPLICATIONS_DIR": place.folder("applications"),
        "ROOKERY_LABELS_ARBITER_URL": place.url(ARBITER),
    }


def _labels_at_our_studio(place: Place) -> dict[str, str]:
    return {
        "ROOKERY_LABELS_STUDIO_URL": place.url(LABEL_STUDIO),
        "ROOKERY_LABELS_CREDENTIALS": f"{place.folder(LABEL_STUDIO)}/credentials.json",
    }


def _label_studio(place: Place) -> tuple[str, ...]:
    port = str(place.ports[LABEL_STUDIO])
    return ("-m", "services.labels.launch", "--state", place.folder(LABEL_STUDIO), "--port", port)


def _observes(place: Place) -> dict[str, str]:
    return {
        **_listens(OBSERVE, place),
        "ROOKERY_OBSERVE_PROMETHEUS_PORT": str(place.ports[PROMETHEUS]),
        "ROOKERY_OBSERVE_ALERTMANAGER_PORT": str(place.ports[ALERTMANAGER]),
        "ROOKERY_OBSERVE_STATE_DIR": place.folder(OBSERVE),
        "ROOKERY_OBSERVE_GIT_REMOTE": str(place.settings.gitops),
        "ROOKERY_OBSERVE_MLFLOW_URL": place.url(MLFLOW),
        "ROOKERY_OBSERVE_NOTIFY_URL": place.url(NOTIFY),
        "ROOKERY_OBSERVE_TARGETS_FILE": str(place.settings.home / TARGETS_FILE),
    }


def _keeps_figures(name: str) -> Member:
    """A server that the observe service configures, and that takes the place of the process that was started."""
    return Member(
        name,
        _observes,
        command=lambda _: ("-m", "services.observe", name),
        ready="/-/ready",
        pack="metrics",
    )


MEMBERS = (
    Member(MLFLOW, command=_mlflow, ready="/health", told="ROOKERY_MLFLOW_URL"),
    Member(TRAIN, lambda place: _works(TRAIN, place), told="ROOKERY_TRAIN_URL"),
    Member(
        EVALUATE,
        lambda place: (
            _works(EVALUATE, place) | {"ROOKERY_EVALUATE_POLICY_DIR": str(place.settings.home / "policies")}
        ),
        told="ROOKERY_EVALUATE_URL",
    ),
    Member(
        MONITOR,
        lambda place: (
            _listens(MONITOR, place)
            | _telling(place)
            | {
                "ROOKERY_MONITOR_STORE": place.folder(MONITOR),
                "ROOKERY_MONITOR_ARBITER_URL": place.url(ARBITER),
            }
        ),
        lambda place: {"ROOKERY_MONITOR_SPOOLS": json.dumps([str(place.settings.spool)])},
        told="ROOKERY_MONITOR_URL",
    ),
    Member(
        NOTIFY,
        lambda place: _listens(NOTIFY, place) | {"ROOKERY_NOTIFY_STATE_DIR": place.folder(NOTIFY)},
        told="ROOKERY_NOTICES_URL",
    ),
    Member(ARBITER, _arbiter, told="ROOKERY_ARBITER_URL"),
    Member(BOARD, _board),
    Member(LABELS, _labels, _labels_at_our_studio, pack="labels"),
    Member(
        LABEL_STUDIO,
        command=_label_studio,
        ready="/health",
        pack="labels",
        patience=600,
        unless=("ROOKERY_LABELS_DESK", "ROOKERY_LABELS_STUDIO_URL"),
    ),
    Member(OBSERVE, _observes, pack="metrics"),
    _keeps_figures(PROMETHEUS),
    _keeps_figures(ALERTMANAGER),
    Member(
        DEPLOYER, _deployer, command=lambda _: ("-m", "workflows.local.deployer"), ready="", says="deploy"
    ),
    Member(CRON, _deployer, command=lambda _: ("-m", "workflows.local.cron"), ready="", says="cron"),
)
PACKS = tuple(dict.fromkeys(member.pack for member in MEMBERS if member.pack))


def measured(place: Place) -> dict[str, str]:
    """Name → host and port of each process of this platform that has figures."""
    return {name: f"{HOST}:{place.ports[name]}" for name in _MEASURED if name in place.ports}


def chosen_members(packs: tuple[str, ...] = ()) -> tuple[Member, ...]:
    """The processes that always belong to the platform, and those of the packs.

    Raises:
        InvalidInput: there is no such pack.
    """
    for pack in packs:
        if pack not in PACKS:
            raise InvalidInput(
                "this is no part that can be added", value=pack, allowed=", ".join(PACKS) or "none"
            )
    return tuple(
        member
        for member in MEMBERS
        if (member.pack == CORE or member.pack in packs)
        and not any(os.environ.get(name) for name in member.unless)
    )


def with_ports(members: tuple[Member, ...]) -> tuple[str, ...]:
    """Names of those that answer HTTP."""
    return tuple(member.name for member in members if member.ready)


def port_setting(name: str) -> str:
    """The field of the settings that has the port of a process."""
    return f"{name.replace('-', '_')}_port"
