"""A site: one environment of tf/envs with its variables, and the folder outside git where its states are."""

from __future__ import annotations

import difflib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from services.common.errors import Conflict, InvalidInput, NotFound

MACHINES, VOLUME = "machines", "volume"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_DECLARED = re.compile(r'^variable "(\w+)"', re.MULTILINE)
_SOURCES = (".tf", ".tftpl", ".py")
_SECRET = re.compile(r"PRIVATE KEY")


@dataclass
class Site:
    """What is known of a site. Its folder holds `site.json`, the states, the inventory and the known host keys.

    Attributes:
        environment: folder of tf/envs.
        variables: Terraform variables as they were given, remembered for the next command.
        identity: private key for the logins; none takes what SSH itself would.
    """

    name: str
    folder: Path
    tf: Path
    environment: str
    variables: dict[str, Any] = field(default_factory=dict)
    identity: Path | None = None

    @property
    def inventory(self) -> Path:
        """Where the Ansible inventory is written."""
        return self.folder / "inventory.yml"

    @property
    def known_hosts(self) -> Path:
        """Host keys of the machines."""
        return self.folder / "known_hosts"

    @property
    def layers(self) -> list[str]:
        """Root modules in the order in which they are made."""
        has_volume = (self.tf / "envs" / self.environment / VOLUME).is_dir()
        return [VOLUME, MACHINES] if has_volume else [MACHINES]

    def state(self, layer: str) -> Path:
        """The state file of a layer, where no other backend is set."""
        return self.folder / f"{layer}.tfstate"

    def save(self) -> None:
        """Remembers environment, variables and identity."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        values = {
            "environment": self.environment,
            "variables": self.variables,
            "identity": None if self.identity is None else str(self.identity),
        }
        new = self.folder / ".site.json.new"
        new.write_text(json.dumps(values, indent=2) + "\n")
        new.replace(self.folder / "site.json")

    def stage(self, layer: str, backend: Path | None, **extra: Any) -> Path:
        """Copies tf/ into the site's folder and adds variables and backend; returns the root module.

        Terraform writes beside its root module, and a checkout is no place for that.
        """
        source, copy = self.tf / "envs" / self.environment, self.folder / "tf"
        names = [path.name for path in (self.tf / "modules").iterdir() if path.is_dir()]
        for part in [*(f"modules/{name}" for name in sorted(names)), f"envs/{self.environment}"]:
            _copy_sources(self.tf / part, copy / part)
        root = copy / "envs" / self.environment
        if layer == VOLUME:
            root, source = root / VOLUME, source / VOLUME
            _copy_sources(source, root)
        declared = declared_variables(source)
        values = {name: value for name, value in (self.variables | extra).items() if name in declared}
        (root / "terraform.tfvars.json").write_text(json.dumps(values, indent=2) + "\n")
        (root / "backend.tf").write_text(self._backend(layer, backend))
        return root

    def _backend(self, layer: str, backend: Path | None) -> str:
        if backend is None:
            return f'terraform {{\n  backend "local" {{\n    path = {json.dumps(str(self.state(layer)))}\n  }}\n}}\n'
        try:
            text = backend.read_text()
        except OSError as error:
            raise InvalidInput(
                f"the backend's file cannot be read: {error.strerror}",
                value=str(backend),
                allowed="a file with terraform { backend … } in ROOKERY_INFRA_BACKEND",
            ) from error
        if 'backend "' not in text or "{site}" not in text or "{layer}" not in text:
            raise InvalidInput(
                "the backend's file needs a backend block with {site} and {layer}, or states overwrite each other",
                value=str(backend),
            )
        return text.replace("{site}", self.name).replace("{layer}", layer)


def open_site(
    home: Path,
    repository: Path,
    name: str,
    *,
    environment: str | None = None,
    variables: Mapping[str, Any] | None = None,
    identity: Path | None = None,
) -> Site:
    """The site as it was remembered, with what is given now over it; nothing is written.

    Raises:
        InvalidInput: a name or variable that is not valid.
        NotFound: no such environment, or variable.
        Conflict: the site was made in another environment.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "a site's name is made of lower-case letters, digits and inner hyphens", value=name
        )
    tf, folder = repository / "tf", home / "infra" / name
    kept = _read(folder / "site.json")
    if environment is not None and kept.get("environment", environment) != environment:
        raise Conflict(f"the site {name} is in {kept['environment']}", value=environment)
    chosen = environment or str(kept.get("environment", name))
    known = sorted(path.name for path in (tf / "envs").iterdir() if path.is_dir())
    if chosen not in known:
        raise NotFound(
            "there is no environment of this name in tf/envs",
            value=chosen,
            allowed=f"{', '.join(known)}; a site with a name of its own says with --on where it is",
        )
    all_variables = {**kept.get("variables", {}), **(variables or {})}
    _check(all_variables, tf / "envs" / chosen)
    kept_identity = kept.get("identity")
    key = identity or (Path(kept_identity) if kept_identity else None)
    if key is not None and not key.is_file():
        raise NotFound("there is no private key", value=str(key), allowed="--identity FILE")
    return Site(name, folder, tf, chosen, all_variables, None if key is None else key.absolute())


def declared_variables(root: Path) -> list[str]:
    """Names of the variables that a root module declares."""
    return [name for path in sorted(root.glob("*.tf")) for name in _DECLARED.findall(path.read_text())]


@contextmanager
def locked(site: Site) -> Iterator[None]:
    """Keeps a second command away from the same site.

    Raises:
        Conflict: another one is at work.
    """
    site.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(site.folder / ".lock", timeout=0)
    try:
        with lock:
            yield
    except Timeout as error:
        raise Conflict(f"another command is at work on the site {site.name}; wait for its end") from error


def sites_with_state(home: Path) -> list[str]:
    """Names of sites of which something exists that Terraform made."""
    return sorted({path.parent.name for path in (home / "infra").glob("*/*.tfstate")})


def _check(variables: Mapping[str, Any], root: Path) -> None:
    declared = declared_variables(root) + (
        declared_variables(root / VOLUME) if (root / VOLUME).is_dir() else []
    )
    for name, value in variables.items():
        if name not in declared:
            near = difflib.get_close_matches(name, declared, n=1, cutoff=0.5)
            meant = f"did you mean {near[0]}? " if near else ""
            raise NotFound(
                f"{root.name} has no variable {name}", allowed=meant + ", ".join(sorted(set(declared)))
            )
        if _SECRET.search(str(value)):
            raise InvalidInput(f"the variable {name} holds a private key, which no machine may be told")


def _copy_sources(source: Path, target: Path) -> None:
    """Makes the sources of one module in `target` what they are in `source`; what Terraform wrote there stays."""
    target.mkdir(parents=True, exist_ok=True)
    wanted = {path.name: path for path in source.iterdir() if path.suffix in _SOURCES}
    for path in target.iterdir():
        if path.suffix in _SOURCES and path.name not in wanted:
            path.unlink()
    for name, path in wanted.items():
        shutil.copyfile(path, target / name)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{path} is not what was written there; its variables are lost, give them again",
            allowed=f"remove {path}, and name all variables with -v",
        ) from error
    return found if isinstance(found, dict) else {}
