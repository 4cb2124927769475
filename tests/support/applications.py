"""The services as applications that are not served, to list their endpoints; their folders are gone."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from services.arbiter.app import create_app as create_arbiter
from services.arbiter.settings import ArbiterSettings
from services.board.app import create_app as create_board
from services.board.settings import BoardSettings
from services.bundle.reader import read_bundle
from services.evaluate.app import create_app as create_evaluate
from services.evaluate.settings import EvaluateSettings
from services.labels.app import create_app as create_labels
from services.labels.settings import LabelsSettings
from services.monitor.app import create_app as create_monitor
from services.monitor.settings import MonitorSettings
from services.notify.app import create_app as create_notify
from services.notify.settings import NotifySettings
from services.observe.app import create_app as create_observe
from services.observe.settings import ObserveSettings
from services.serve.app import create_app as create_serve
from services.serve.app import create_web
from services.serve.settings import ServeSettings
from services.train.app import create_app as create_train
from services.train.settings import TrainSettings
from tests.support.bundles import tiny_audio_bundle


def train_app() -> Any:
    """The train service."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return create_train(
            TrainSettings(state_dir=folder / "state", cache_dir=folder / "cache", code_revision="docs")
        )


def evaluate_app() -> Any:
    """The evaluate service."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return create_evaluate(EvaluateSettings(state_dir=folder / "state", cache_dir=folder / "cache"))


def monitor_app() -> Any:
    """The monitor service."""
    with tempfile.TemporaryDirectory() as name:
        return create_monitor(MonitorSettings(store=name))


def arbiter_app() -> Any:
    """The arbiter; it opens its database when it starts."""
    return create_arbiter(ArbiterSettings())


def notify_app() -> Any:
    """The notify service; it opens its outbox when it starts."""
    return create_notify(NotifySettings())


def observe_app() -> Any:
    """The observe service; it reads nothing before it starts."""
    return create_observe(ObserveSettings())


def labels_app() -> Any:
    """The labels service; it opens nothing before it starts."""
    return create_labels(LabelsSettings())


def board_app() -> Any:
    """The board."""
    with tempfile.TemporaryDirectory() as name:
        return create_board(BoardSettings(state_dir=Path(name)))


def serve_app() -> Any:
    """A served model; a sound has every route."""
    with tempfile.TemporaryDirectory() as folder:
        settings = ServeSettings(bundle=tiny_audio_bundle(Path(folder)))
        return create_web(create_serve(read_bundle(settings.bundle), settings))
