"""Settings of the labels service, from environment variables ROOKERY_LABELS_…"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from services.common.errors import InvalidInput
from services.common.listening import ClosedSettings
from services.labels.agreement import Gate
from services.labels.office import Rules
from services.labels.publishing import Placing


class LabelsSettings(ClosedSettings):
    """Where labelling keeps its state, where people label, how much they are asked and when they are believed."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_LABELS_", extra="forbid", frozen=True)

    port: int = Field(9098, ge=0, le=65535, description="port to listen on; 0: any free one")
    public_url: str = Field(
        "", description="address of this service for the browsers of those who label; empty: host and port"
    )
    state_dir: Path = Field(Path(".rookery/labels"), description="folder of tasks, answers and shown inputs")
    cache_dir: Path = Field(Path(".rookery/data"), description="folder for checks and copies of data sources")
    datasets: str = Field(
        "", description="folder, or s3://bucket/prefix, of the labelled datasets; empty: in the state folder"
    )
    monitor_store: str = Field(
        ".rookery/monitor", description="folder, or s3://bucket/prefix, that the monitor keeps the log in"
    )
    applications_dir: Path = Field(
        Path("k8s/apps"), description="folder with <application>/application.yaml (or <application>.yaml)"
    )
    environment: str = Field("production", description="whose predictions are chosen from")
    desk: Path | None = Field(
        None, description="folder of JSON files in place of Label Studio, for those who answer by other means"
    )
    studio_url: str = Field("http://127.0.0.1:5000", description="address of Label Studio")
    studio_public_url: str = Field(
        "", description="address of Label Studio for the browsers of those who label; empty: as studio_url"
    )
    studio_token: SecretStr = Field(
        SecretStr(""), description="token of Label Studio's API, or a personal access token"
    )
    credentials: Path | None = Field(
        None, description="file that `python -m services.labels.launch` wrote, in place of the token"
    )
    hook: bool = Field(
        True,
        description="whether Label Studio is asked to call when somebody answers; it is polled all the same",
    )
    blind: bool = Field(
        True, description="the random share does not show the model's answer, which would sway people"
    )
    arbiter_url: str = Field("", description="arbiter that is told of new labels; empty: nobody is")
    arbiter_token: SecretStr = Field(SecretStr(""), description="what the arbiter wants to be told")
    choose_seconds: float = Field(3600.0, gt=0, le=86_400, description="pause between choices of inputs")
    poll_seconds: float = Field(60.0, gt=0, le=3600, description="pause between looks at the desk")
    quiet_seconds: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="a version is made when nobody has answered for so long, or when asked for",
    )
    per_day: int = Field(50, ge=1, le=10_000, description="tasks of one application in a day, at most")
    random_share: float = Field(0.4, gt=0, le=1, description="part of the tasks that is drawn at random")
    overlap_share: float = Field(0.2, ge=0, le=1, description="part of the tasks that two people are asked")
    unsure_below: float = Field(
        0.9, ge=0, le=1, description="a confidence from which none is chosen as unsure"
    )
    settle_seconds: float = Field(
        120.0, ge=0, le=86_400, description="predictions younger than this are chosen from the next time"
    )
    accuracy_days: int = Field(30, ge=1, le=365, description="days that the estimate of accuracy covers")
    minimum_agreement: float = Field(
        0.6, ge=0, lt=1, description="Krippendorff's alpha that a batch needs; 0: no gate, for a person alone"
    )
    minimum_overlap: int = Field(
        10, ge=2, le=10_000, description="inputs that two people must have answered before a batch is judged"
    )
    minimum_own: int = Field(
        5, ge=1, le=10_000, description="of these, how many a person must have answered to be judged"
    )
    holdout_share: float = Field(
        0.5, ge=0, le=1, description="part of the random share that becomes holdout, and never training data"
    )
    validation_share: float = Field(0.2, ge=0, le=1, description="part of the random share for validation")
    class_items: int = Field(
        10, ge=3, le=10_000, description="inputs that a class needs which the dataset did not have"
    )
    event_items: int = Field(20, ge=1, description="new labels that the arbiter is told of")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.holdout_share + self.validation_share > 1:
            raise ValueError("holdout_share and validation_share are parts of one share: together at most 1")
        return self

    def rules(self) -> Rules:
        """How much people are asked, and when they are believed."""
        return Rules(
            per_day=self.per_day,
            random=self.random_share,
            overlap=self.overlap_share,
            unsure_below=self.unsure_below,
            settle=timedelta(seconds=self.settle_seconds),
            accuracy=timedelta(days=self.accuracy_days),
            event=self.event_items,
            gate=Gate(self.minimum_agreement, self.minimum_overlap, self.minimum_own),
            placing=Placing(self.holdout_share, self.validation_share, self.class_items),
        )

    def own_names(self) -> list[str]:
        """Browsers of those who label ask for the name of the public address."""
        name = urlsplit(self.public_url).hostname
        return [name] if name else []

    def address(self) -> str:
        """Address of this service for browsers."""
        return self.public_url or f"http://{self.host}:{self.port}"

    def studio_address(self) -> str:
        """Where people label; empty where that is a folder."""
        return "" if self.desk is not None else self.studio_public_url or self.studio_url

    def dataset_place(self, application: str) -> str:
        """Where an application's labelled dataset lies."""
        place = self.datasets or str(self.state_dir.absolute() / "datasets")
        return f"{place.rstrip('/')}/{application}"

    def find_token(self) -> str:
        """The token for Label Studio, empty when there is none yet.

        Raises:
            InvalidInput: the file with it cannot be read.
        """
        given = self.studio_token.get_secret_value()
        if given or self.credentials is None or not self.credentials.exists():
            return given
        try:
            return str(json.loads(self.credentials.read_text())["token"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidInput(
                f"the token of Label Studio cannot be read: {type(error).__name__}",
                value=str(self.credentials),
            ) from None
