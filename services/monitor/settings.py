"""Settings of the monitor service, from environment variables ROOKERY_MONITOR_…"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.common.listening import ClosedSettings
from services.monitor import drift, judge
from services.monitor.windows import Thresholds


class MonitorSettings(ClosedSettings):
    """Where the prediction log is kept, and when drift and regressions are called."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_MONITOR_", extra="forbid", frozen=True)
    others = ("ROOKERY_MONITOR_URL",)

    port: int = Field(9095, ge=0, le=65535, description="port to listen on; 0: any free one")
    token: SecretStr = Field(
        SecretStr(""),
        description="what those must say who read; the tokens of servers follow from it; required beyond this machine",
    )
    store: str = Field(
        ".rookery/monitor", description="folder, or s3://bucket/prefix, that the prediction log is kept in"
    )
    spools: list[Path] = Field(
        default_factory=list,
        description="folders (or folders of folders) that servers on this machine log to",
    )
    collect_seconds: float = Field(5.0, gt=0, le=3600, description="pause between looks at the spools")
    tidy_seconds: float = Field(
        3600.0, gt=0, le=86_400, description="pause between mergings and removals of what is too old"
    )
    keep_days: int = Field(90, ge=1, le=3650, description="predictions and feedback are removed after this")
    keep_input_days: int = Field(30, ge=1, le=3650, description="inputs are removed after this")
    alpha: float = Field(
        drift.ALPHA, gt=0, lt=0.5, description="chance of a false alarm of one drift check, at most"
    )
    large: float = Field(
        drift.LARGE, ge=0, le=1, description="total variation beyond chance from which a difference is drift"
    )
    minimum: int = Field(drift.MINIMUM, ge=10, description="fewer values than this are not judged")
    false_abort: float = Field(
        judge.Policy.false_abort, gt=0, lt=0.5, description="chance of rolling back a good canary, at most"
    )
    missed_regression: float = Field(
        judge.Policy.missed_regression, gt=0, lt=0.5, description="chance of promoting a bad canary, at most"
    )
    canary_minimum: int = Field(
        judge.Policy.minimum, ge=20, description="outcomes that each question needs before a promotion"
    )
    slow_quantile: float = Field(
        0.95, gt=0, lt=1, description="an answer is slow above this quantile of production's latency"
    )
    slow_floor_seconds: float = Field(
        0.01, ge=0, le=60, description="no answer within this time is slow, however fast production is"
    )

    watch_seconds: float = Field(
        300.0, gt=0, le=86_400, description="pause between comparisons of every environment, for /metrics"
    )
    arbiter_url: str = Field(
        "", description="service that decides about retraining, told when drift begins; empty: nobody is"
    )
    arbiter_token: SecretStr = Field(SecretStr(""), description="what the arbiter wants to be told")

    def thresholds(self) -> Thresholds:
        """When drift is called."""
        return Thresholds(self.alpha, self.large, self.minimum)

    def policy(self) -> judge.Policy:
        """How sure a verdict on a canary must be."""
        return judge.Policy(self.false_abort, self.missed_regression, self.canary_minimum)
