"""The base of every settings model: a misspelled environment variable is refused, not ignored."""

from __future__ import annotations

import difflib
import os
from ipaddress import ip_address
from typing import Any, ClassVar, Self

from pydantic import SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings

from services.common.errors import InvalidInput

# Each service has a prefix of its own, so that one environment may hold the settings of all of them.
SERVICES = tuple(
    f"ROOKERY_{name}_"
    for name in (
        *(
            "TRAIN",
            "EVALUATE",
            "SERVE",
            "MONITOR",
            "ARBITER",
            "NOTIFY",
            "NOTICES",
            "LABELS",
            "BOARD",
            "OBSERVE",
        ),
        *("S3", "GIT", "REGISTRY", "INFRA", "TRACKING"),
        "CLUSTER",  # of the machine that `make e2e` makes
    )
)


class Settings(BaseSettings):
    """Settings read from the environment variables that begin with the model's `env_prefix`.

    Attributes:
        others: variables of somebody else that begin with the same prefix; one that ends in `_` stands for all
            that begin with it.

    Raises:
        InvalidInput: a variable begins with the prefix and is no setting; it names the one likely meant, and
            never the value, which may be a secret.
    """

    others: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def read(cls, **given: Any) -> Self:
        """What is given over the environment over defaults.

        Raises:
            InvalidInput: a setting that is not valid, in one sentence for people.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            field = cls.model_fields.get(name)
            secret = field is not None and field.annotation is SecretStr
            value = None if secret else first.get("input")
            raise InvalidInput(f"setting `{name}`: {first['msg']}", value=value) from (
                None if secret else error
            )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_variables(cls, data: Any) -> Any:
        prefix = str(cls.model_config.get("env_prefix", "")).upper()
        own = [prefix + name.upper() for name in cls.model_fields]
        families = tuple(name for name in cls.others if name.endswith("_"))
        for name in sorted(os.environ):
            upper = name.upper()
            if upper.startswith(prefix) and upper not in own and upper not in cls.others:
                if families and upper.startswith(families):
                    continue
                near = difflib.get_close_matches(upper, own, n=1, cutoff=0)
                raise InvalidInput(
                    f"the environment variable {name} is no setting; did you mean {near[0]}?",
                    allowed=", ".join(own),
                )
        return data


def is_local(host: str) -> bool:
    """Whether only this machine can reach a server that listens on this address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
