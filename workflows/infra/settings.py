"""How machines are provisioned: `ROOKERY_INFRA_*`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.common.settings import Settings


class InfraSettings(Settings):
    """Provisioning of machines: which Terraform, where its state is kept, how long SSH may take."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_INFRA_", extra="forbid", frozen=True)

    terraform: str = Field(default="terraform", description="Terraform's name on the path, or its path.")
    backend: Path | None = Field(
        default=None,
        description="File with a `terraform { backend … }` block for the states, in which `{site}` and `{layer}` are "
        "replaced; else they are files in the state folder.",
    )
    ssh_seconds: float = Field(
        default=600, gt=0, le=7200, description="Longest wait for a login to every machine after `up`."
    )
    stop_seconds: float = Field(
        default=300,
        gt=0,
        le=3600,
        description="How long an interrupted Terraform may finish what it is making before it is stopped.",
    )
    silent_seconds: float = Field(
        default=300,
        gt=0,
        le=7200,
        description="Longest time in which Terraform may say nothing before it is ended; at work it speaks every ten "
        "seconds.",
    )
