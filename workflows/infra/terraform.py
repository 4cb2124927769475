"""Terraform by way of python-terraform, and around what it does badly (docs/decisions/0009).

python-terraform knows how options are written; commands are run here, so that their output is seen as it comes and an
interrupt reaches Terraform once.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from python_terraform import IsFlagged  # type: ignore[import-untyped]
from python_terraform import Terraform as Commands

from services.common.errors import InvalidInput, NotFound, RookeryError
from workflows.infra.events import Events, Tell
from workflows.infra.interrupt import Interrupt
from workflows.infra.lines import lines
from workflows.infra.silence import Silence

OLDEST = (1, 9, 0)
_READ_SECONDS = 120
FLAG = IsFlagged


class TerraformFailed(RookeryError):
    """Terraform ended with an error of its own, or of a provider."""

    code = "terraform"


class Interrupted(RookeryError):
    """Provisioning was interrupted; what was made is in the state."""

    code = "interrupted"


class Terraform:
    """Terraform in one root module."""

    def __init__(
        self,
        folder: Path,
        binary: str = "terraform",
        stop_seconds: float = 300,
        silent_seconds: float = 300,
        more: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._environment = environment() | dict(more or {})
        self._commands = Commands(working_dir=str(folder), terraform_bin_path=binary)
        self._stop_seconds, self._silent_seconds = stop_seconds, silent_seconds

    def command(self, name: str, *arguments: str, **options: Any) -> list[str]:
        """The argument list of a command, without colours; options as python-terraform takes them."""
        made: list[str] = self._commands.generate_cmd_string(name, *arguments, no_color=FLAG, **options)
        return made

    def init(self, tell: Tell) -> None:
        """Installs the providers and sets up the state's place.

        Raises:
            TerraformFailed: a provider or the backend is not to be had.
        """
        lines: list[str] = []
        code = self._run(self.command("init", input=False, reconfigure=FLAG), lines.append)
        if code:
            text = "".join(lines)
            for line in lines:
                tell(line.rstrip())
            raise TerraformFailed(f"terraform init failed: {_first_error(text)}")

    def events(self, tell: Tell, name: str, *arguments: str, **options: Any) -> tuple[int, Events]:
        """Runs a command that speaks JSON; exit code and what it said."""
        events = Events(tell)
        code = self._run(
            self.command(name, *arguments, json=FLAG, input=False, **options), events.take, events.safe
        )
        return code, events

    def show(self, tell: Tell, name: str, *arguments: str, **options: Any) -> int:
        """Runs a command for people, line by line; its exit code."""
        command = self.command(name, *arguments, input=False, **options)
        return self._run(command, lambda line: tell(line.rstrip("\n")))

    def outputs(self) -> dict[str, Any]:
        """The outputs' values; empty when there is no state."""
        found = json.loads(self.read("output", json=FLAG) or "{}")
        return {name: item["value"] for name, item in found.items()}

    def resources(self) -> list[str]:
        """Addresses of the managed resources that the state knows."""
        lines = self.read("state list", missing_is_empty=True).split("\n")
        return [line for line in lines if line and not re.search(r"(^|\.)data\.", line)]

    def read(self, name: str, *, missing_is_empty: bool = False, **options: Any) -> str:
        """What a command that only reads prints.

        Raises:
            TerraformFailed: it failed, or did not answer in time.
        """
        try:
            done = subprocess.run(
                self.command(name, **options),
                cwd=self.folder,
                env=self._environment,
                capture_output=True,
                text=True,
                timeout=_READ_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise TerraformFailed(f"terraform {name} said nothing within {_READ_SECONDS} seconds") from error
        if done.returncode == 0:
            return done.stdout
        if missing_is_empty and "No state file was found" in done.stderr:
            return ""
        raise TerraformFailed(f"terraform {name} failed: {_first_error(done.stderr)}")

    def _run(
        self, command: list[str], line: Callable[[str], object], safe: Callable[[], bool] = lambda: True
    ) -> int:
        # Handlers are there before the process is: no interrupt falls between, and it begins with the default of each.
        with (
            Interrupt(self._stop_seconds, safe) as interrupt,
            subprocess.Popen(
                command,
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process,
        ):
            silence = Silence(self._silent_seconds)
            for text in lines(process, interrupt, silence):
                line(text)
            code = process.wait()
        if interrupt.asked:
            raise Interrupted(
                "interrupted; what was made is in the state, and the same command goes on from there"
            )
        if silence.ended:
            raise TerraformFailed(
                f"terraform {command[1]} said nothing for {self._silent_seconds:.0f} seconds and was ended; "
                "the same command tries again"
            )
        return code


def check_version(binary: str) -> str:
    """Terraform's version.

    Raises:
        NotFound: it is not installed.
        InvalidInput: it is too old, or no Terraform.
    """
    wanted = ".".join(str(part) for part in OLDEST)
    if shutil.which(binary) is None:
        raise NotFound(
            "Terraform is not installed",
            value=binary,
            allowed=f"Terraform {wanted} or newer on the path, or its path in ROOKERY_INFRA_TERRAFORM",
        )
    try:
        done = subprocess.run(
            [binary, "version", "-json"],
            capture_output=True,
            text=True,
            timeout=_READ_SECONDS,
            check=True,
            env=environment(),
        )
        version = str(json.loads(done.stdout)["terraform_version"])
        found = tuple(int(part) for part in version.split("-", 1)[0].split("."))
    except (subprocess.SubprocessError, OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            "this is no Terraform that tells its version",
            value=binary,
            allowed=f"Terraform {wanted} or newer",
        ) from error
    if found < OLDEST:
        raise InvalidInput("Terraform is too old", value=version, allowed=f"{wanted} or newer")
    return version


def environment() -> dict[str, str]:
    """Terraform's environment: ours, without options that would slip into every command."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("TF_CLI_ARGS")}
    return others | {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}


def _first_error(text: str) -> str:
    """The first error of output for people, on one line."""
    plain = re.sub(r"[│╷╵]", " ", text)
    found = re.search(r"Error: (.*)", plain, re.DOTALL)
    return " ".join((found.group(1) if found else plain).split())[:500]
