"""How the machines are reached by SSH, and the wait until a login succeeds."""

from __future__ import annotations

import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from services.common.errors import Unavailable
from workflows.infra.events import Tell
from workflows.infra.outputs import Node, Outputs

_CONNECT_SECONDS = 10
_PAUSE_SECONDS = 2


@dataclass(frozen=True)
class Access:
    """The way to the machines of one site.

    Host keys are taken at the first login and kept in a file of the site, since the machines and their keys are new.
    """

    outputs: Outputs
    known_hosts: Path
    identity: Path | None = None

    def arguments(self, node: Node) -> list[str]:
        """Options of `ssh` for a machine, without user and host."""
        options = self._options()
        if node.jump is not None:
            over = next(other for other in self.outputs.nodes if other.name == node.jump)
            hop = ["ssh", *self._options(), "-W", "%h:%p", self._target(over)]
            options += ["-o", f"ProxyCommand={shlex.join(hop)}"]
        return options

    def command(self, node: Node, *remote: str) -> list[str]:
        """A whole command line that asks nothing."""
        quick = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={_CONNECT_SECONDS}"]
        return ["ssh", *self.arguments(node), *quick, self._target(node), *remote]

    def wait(self, seconds: float, tell: Tell) -> dict[str, float]:
        """Waits until one can log in to every machine and become root there; seconds by machine.

        A port that answers is not enough: it may do so before the user exists.

        Raises:
            Unavailable: not all answered in time; it names them and what SSH said last.
        """
        began = time.monotonic()
        waiting = {node.name: node for node in self.outputs.nodes}
        said: dict[str, str] = {}
        took: dict[str, float] = {}
        tell(f"waiting for a login to {', '.join(waiting)}, {seconds:.0f} seconds at most")
        while waiting:
            for name, node in list(waiting.items()):
                problem = self._try(node)
                if problem is None:
                    took[name] = time.monotonic() - began
                    del waiting[name]
                    tell(f"{name}: login to {node.login_address} works, after {took[name]:.0f} s")
                    continue
                said[name] = problem
                if time.monotonic() - began > seconds:
                    told = "; ".join(f"{name}: {said.get(name, 'not tried')}" for name in waiting)
                    raise Unavailable(f"no login within {seconds:.0f} seconds: {told}")
            if waiting:
                time.sleep(_PAUSE_SECONDS)
        return took

    def _try(self, node: Node) -> str | None:
        try:
            done = subprocess.run(
                self.command(node, "sudo", "-n", "true"),
                capture_output=True,
                text=True,
                timeout=_CONNECT_SECONDS * 3,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"no answer within {_CONNECT_SECONDS * 3} seconds"
        lines = done.stderr.strip().splitlines()
        return None if done.returncode == 0 else (lines[-1] if lines else f"exit code {done.returncode}")

    def _options(self) -> list[str]:
        made = [
            "-o",
            f"UserKnownHostsFile={self.known_hosts}",
            "-o",
            "StrictHostKeyChecking=accept-new",
            "-o",
            "LogLevel=ERROR",
        ]
        return (
            made if self.identity is None else [*made, "-i", str(self.identity), "-o", "IdentitiesOnly=yes"]
        )

    def _target(self, node: Node) -> str:
        return f"{self.outputs.site.user}@{node.login_address}"
