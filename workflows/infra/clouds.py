"""clouds.yaml is there and has the entry, before Terraform says so less clearly. Nothing of it is printed but names.

Places: https://docs.openstack.org/python-openstackclient/latest/configuration/index.html
"""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from services.common.errors import InvalidInput, NotFound


def places() -> list[Path]:
    """Where clouds.yaml is looked for, in order."""
    named = os.environ.get("OS_CLIENT_CONFIG_FILE")
    usual = [Path.cwd(), Path.home() / ".config" / "openstack", Path("/etc/openstack")]
    return ([Path(named)] if named else []) + [folder / "clouds.yaml" for folder in usual]


def check(cloud: str) -> Path | None:
    """The file that has the entry `cloud`; none when the `OS_*` variables are meant.

    Raises:
        NotFound: there is no such file, or no such entry.
        InvalidInput: the file is no clouds.yaml.
    """
    if not cloud:
        if os.environ.get("OS_AUTH_URL"):
            return None
        raise NotFound(
            "the variable `cloud` is empty, and OS_AUTH_URL is not set",
            allowed="-v cloud=NAME with a clouds.yaml, or the OS_* variables of an openrc file",
        )
    path = next((place for place in places() if place.is_file()), None)
    if path is None:
        looked = ", ".join(str(place) for place in places())
        raise NotFound(
            f"there is no clouds.yaml with the entry {cloud!r}",
            allowed=f"download it from the dashboard (Identity, Application Credentials) to one of: {looked}",
        )
    try:
        entries = yaml.safe_load(path.read_text())["clouds"]
        names = sorted(str(name) for name in entries)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{path} is no clouds.yaml", allowed="a map `clouds` from names to credentials"
        ) from error
    if cloud not in names:
        raise NotFound(f"{path} has no entry of this name", value=cloud, allowed=", ".join(names))
    return path.absolute()
