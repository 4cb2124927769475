"""A misspelled variable is refused by each model, and no model refuses what another one reads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from services.arbiter.settings import ArbiterSettings
from services.board.settings import BoardSettings
from services.common.errors import InvalidInput
from services.common.notices import NoticeSettings
from services.common.settings import Settings
from services.data.store import ObjectStoreSettings
from services.evaluate.settings import EvaluateSettings
from services.labels.settings import LabelsSettings
from services.monitor.settings import MonitorSettings
from services.notify.settings import NotifySettings
from services.observe.settings import ObserveSettings
from services.serve.settings import ServeSettings
from services.tracking.settings import TrackingSettings
from services.train.settings import TrainSettings
from workflows.infra.settings import InfraSettings
from workflows.local.settings import PlatformSettings
from workflows.release.registry import RegistrySettings
from workflows.release.settings import GitSettings
from workflows.steps.settings import StepSettings

MODELS: list[type[Settings]] = [
    ServeSettings,
    TrainSettings,
    EvaluateSettings,
    MonitorSettings,
    LabelsSettings,
    NotifySettings,
    ArbiterSettings,
    BoardSettings,
    NoticeSettings,
    ObserveSettings,
    ObjectStoreSettings,
    GitSettings,
    InfraSettings,
    TrackingSettings,
    RegistrySettings,
    StepSettings,
    PlatformSettings,
]
SHARED = ["ROOKERY_TOOLS", "ROOKERY_APPLICATION"]


def variables(model: type[Settings]) -> list[str]:
    prefix = model.model_config.get("env_prefix", "")
    return [prefix + name.upper() for name in model.model_fields]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("ROOKERY_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("model", "wrong", "meant"),
    [
        (ServeSettings, "ROOKERY_SERVE_WORKRES", "ROOKERY_SERVE_WORKERS"),
        (ServeSettings, "rookery_serve_workres", "ROOKERY_SERVE_WORKERS"),
        (TrainSettings, "ROOKERY_TRAIN_PARALEL", "ROOKERY_TRAIN_PARALLEL"),
        (EvaluateSettings, "ROOKERY_EVALUATE_POLICYDIR", "ROOKERY_EVALUATE_POLICY_DIR"),
        (ObjectStoreSettings, "ROOKERY_S3_SECRET_KYE", "ROOKERY_S3_SECRET_KEY"),
        (GitSettings, "ROOKERY_GIT_BRANHC", "ROOKERY_GIT_BRANCH"),
        (RegistrySettings, "ROOKERY_REGISTRY_USER", "ROOKERY_REGISTRY_USERNAME"),
        (StepSettings, "ROOKERY_MLFLOW_ULR", "ROOKERY_MLFLOW_URL"),
        (PlatformSettings, "ROOKERY_MLFLOW_PROT", "ROOKERY_MLFLOW_PORT"),
    ],
)
def test_a_misspelled_variable_is_refused_with_the_one_meant_and_without_its_value(
    monkeypatch: pytest.MonkeyPatch, model: type[Settings], wrong: str, meant: str
) -> None:
    monkeypatch.setenv(wrong, "hunter2")
    with pytest.raises(InvalidInput) as caught:
        model()
    assert f"{wrong} is no setting; did you mean {meant}?" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("model", MODELS)
def test_variables_of_the_other_models_are_let_be(
    monkeypatch: pytest.MonkeyPatch, model: type[Settings]
) -> None:
    own = variables(model)
    for name in [*SHARED, *(name for other in MODELS for name in variables(other))]:
        if name not in own:
            monkeypatch.setenv(name, "x")
    wanted = [name for name, field in model.model_fields.items() if field.is_required()]
    database = {"database_uri": "postgresql://u:p@host:5432/x"}
    model(**{name: database.get(name, "http://host:9000") for name in wanted})


def test_every_settings_model_is_here() -> None:
    code = (
        "import pkgutil, importlib, services, workflows\n"
        "for package in (services, workflows):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
        "from pydantic_settings import BaseSettings\n"
        "def ours(base):\n"
        "    return [c for c in base.__subclasses__() if c.__module__.startswith(('services', 'workflows'))]\n"
        "def all_of(base):\n"
        "    return {base} | {found for child in ours(base) for found in all_of(child)}\n"
        "from services.common.settings import Settings\n"
        "print(*sorted(c.__name__ for c in all_of(Settings) if c.model_config.get('env_prefix')))\n"
        "assert ours(BaseSettings) == [Settings], ours(BaseSettings)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == sorted(model.__name__ for model in MODELS)
