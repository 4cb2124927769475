"""The one shape of the outputs that every environment of tf/envs has."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.common.errors import InvalidInput


class Node(BaseModel):
    """A machine.

    Attributes:
        address: among the machines.
        login_address: where SSH reaches it, over the machine `jump` if one is named.
        data_device: an empty disk for the platform's data.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    address: IPv4Address
    login_address: IPv4Address
    jump: str | None
    data_device: str | None = Field(pattern=r"^/dev/[\w./:-]+$")


class Site(BaseModel):
    """What all machines have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: str = Field(pattern=r"^[a-z_][a-z0-9_-]*$")
    private_network: IPv4Network
    public_address: IPv4Address
    external_addresses: list[IPv4Address] = Field(min_length=1)


class Outputs(BaseModel):
    """The outputs as a whole."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    nodes: list[Node] = Field(min_length=1)
    site: Site

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Outputs:
        """From the values of `terraform output -json`.

        Raises:
            InvalidInput: they are not of the shape, or name a machine to jump over that is none.
        """
        try:
            found = cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InvalidInput(
                f"Terraform's output {where}: {first['msg']}", value=first.get("input")
            ) from error
        names = [node.name for node in found.nodes]
        for node in found.nodes:
            if node.jump is not None and (node.jump not in names or node.jump == node.name):
                raise InvalidInput(
                    f"{node.name} is reached over a machine that is none of the others",
                    value=node.jump,
                    allowed=", ".join(names),
                )
        if len(set(names)) != len(names):
            raise InvalidInput("two machines have one name", value=names)
        return found
