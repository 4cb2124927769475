"""From a template and its inputs to the command of a process: same command, arguments and environment as in the pod.

A pod has a file system of its own; here all steps share one machine. So each path that a template declares for an
output, the folder named by `hera__outputs_directory` and each emptyDir's mount path is moved into the step's own
folder, wherever the template's command, arguments, source, environment or working directory mention it. This is done
in the template's text before values are put in: a parameter's value is never rewritten, and no declared path can lead
out of the step's folder.

The environment holds PATH, HOME, LANG, TMPDIR and PYTHONPATH (what the image gives), then where /dev/termination-log
lies, then `envFrom`, then `env`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from services.common.errors import InvalidInput, Refused
from workflows.local.models import Container, Template, seconds
from workflows.local.process import PACKAGE_ROOT
from workflows.local.substitution import substitute
from workflows.local.supervisor import GRACE_SECONDS, RESULT_LIMIT, StepSpec
from workflows.local.workflow import image_allowed, read_config
from workflows.steps.outcome import MESSAGE_FILE

HERA_OUTPUTS = "hera__outputs_directory"
RUNNERS = ("workflows.steps.run", "hera.workflows.runner")
_MESSAGE_BYTES = 4096
Rewrite = Callable[[str], str]


def path_rewriter(template: Template, folder: Path) -> Rewrite:
    """Moves the template's own paths into the step's folder."""
    pod = template.pod
    assert pod is not None
    paths = {p.value_from.path for p in template.outputs.parameters if p.value_from and p.value_from.path}
    paths |= {e.value for e in pod.env if e.name == HERA_OUTPUTS and e.value}
    paths |= {mount.mount_path.rstrip("/") for mount in pod.volume_mounts}
    paths.add(MESSAGE_FILE)
    absolute = sorted((p for p in paths if p.startswith("/") and p != "/"), key=len, reverse=True)
    if not absolute:
        return lambda text: text
    pattern = re.compile(r"(?<![\w./-])(" + "|".join(map(re.escape, absolute)) + r")(?![\w-]|\.\w)")
    return lambda text: pattern.sub(lambda match: f"{folder}/outputs{match.group(1)}", text)


def prepare(
    template: Template,
    scope: Mapping[str, str],
    folder: Path,
    *,
    config: Path,
    host_images: list[str],
    deadline: float | None,
) -> StepSpec:
    """Makes the step's folder and `spec.json`; raises a RookeryError when the step cannot be started."""
    pod = template.pod
    assert pod is not None
    image = substitute(pod.image, scope)
    if not image_allowed(image, host_images):
        raise Refused(
            f"image {image} does not run on this machine by itself", allowed="rookery/*, or --host-image"
        )
    for name in ("work", "tmp", "outputs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rewrite = path_rewriter(template, folder)
    scope = {
        **scope,
        **{f"outputs.parameters.{n}.path": str(p) for n, p in output_paths(template, scope, folder).items()},
    }

    def final(text: str) -> str:
        return substitute(rewrite(text), scope)

    for path in output_paths(template, scope, folder).values():
        path.parent.mkdir(parents=True, exist_ok=True)
    for mount in pod.volume_mounts:
        Path(rewrite(mount.mount_path.rstrip("/"))).mkdir(parents=True, exist_ok=True)
    message = message_file(folder)
    message.parent.mkdir(parents=True, exist_ok=True)
    message.touch()
    argv = [final(text) for text in (*pod.command, *pod.args)]
    if template.script is not None:
        source = folder / "script"
        source.write_text(final(template.script.source), encoding="utf-8")
        argv.append(str(source))
    env = environment(pod, final, folder, config)
    spec = StepSpec(
        argv=argv, env=env, cwd=final(pod.working_dir) if pod.working_dir else str(folder / "work"),
        deadline=deadline, runner=is_runner(argv, env), grace_seconds=GRACE_SECONDS,
    )  # fmt: skip
    spec.save(folder)
    return spec


def environment(pod: Container, final: Rewrite, folder: Path, config: Path) -> dict[str, str]:
    """The step's whole environment."""
    home = Path(sys.executable).parent
    env = {
        "PATH": f"{home}:/usr/local/bin:/usr/bin:/bin", "HOME": str(folder / "work"), "LANG": "C.UTF-8",
        "TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(PACKAGE_ROOT), "PYTHONUNBUFFERED": "1",
        "TERMINATION_MESSAGE_PATH": str(message_file(folder)),
    }  # fmt: skip
    for source in pod.env_from:
        if source.config_map_ref is not None:
            reference = source.config_map_ref
            values = read_config(config, final(reference.name), optional=reference.optional)
            env |= {source.prefix + key: value for key, value in values.items()}
    for entry in pod.env:
        if entry.value_from is not None:
            key = entry.value_from.config_map_key_ref
            if key is None:  # an optional Secret, the only one that a manifest may name here
                continue
            values = read_config(config, final(key.name), optional=key.optional)
            if key.key in values:
                env[entry.name] = values[key.key]
            elif not key.optional:
                raise InvalidInput(f"ConfigMap {key.name} has no key {key.key}")
        else:
            env[entry.name] = final(entry.value or "")
    for name, value in env.items():
        if "=" in name or "\0" in name + value:
            raise InvalidInput("no valid environment variable", value=name)
    return env


def is_runner(argv: list[str], env: Mapping[str, str]) -> bool:
    """Whether the warm interpreter can stand in for a fresh one: it calls our steps, or Hera's runner."""
    python = Path(argv[0]).name in ("python", "python3") and ("/" not in argv[0] or argv[0] == sys.executable)
    plain = not any(
        name.startswith("PYTHON") for name in env if name not in ("PYTHONPATH", "PYTHONUNBUFFERED")
    )
    return (
        python
        and plain
        and argv[1:2] == ["-m"]
        and argv[2:3] != []
        and argv[2] in RUNNERS
        and env["PYTHONPATH"] == str(PACKAGE_ROOT)
    )


def _module(argv: list[str]) -> str:
    return argv[2] if argv[1:2] == ["-m"] and len(argv) > 2 else ""


def output_paths(template: Template, scope: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Where each declared output lies. A path that would lead out of the step's folder is refused."""
    result = {}
    root = (folder / "outputs").resolve()
    for output in template.outputs.parameters:
        assert output.value_from is not None
        declared = substitute(output.value_from.path or "", scope)
        path = (root / declared.lstrip("/")).resolve()
        if not path.is_relative_to(root) or path == root:
            raise Refused(f"output {output.name} lies outside of the step's own folder", value=declared)
        result[output.name] = path
    return result


def read_outputs(template: Template, scope: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The values of the output parameters; raises InvalidInput when one without a default is missing."""
    values = {}
    for name, path in output_paths(template, scope, folder).items():
        declared = template.outputs.named(name)
        assert declared is not None and declared.value_from is not None
        if path.is_file():
            with path.open("rb") as file:
                data = file.read(RESULT_LIMIT + 1)
            if len(data) > RESULT_LIMIT:
                raise InvalidInput(f"output {name} is too large", allowed=f"{RESULT_LIMIT} bytes")
            try:
                values[name] = data.decode().removesuffix("\n")
            except UnicodeDecodeError as error:
                raise InvalidInput(f"output {name} is no UTF-8 text") from error
        elif declared.value_from.default is not None:
            values[name] = declared.value_from.default
        else:
            raise InvalidInput(f"cannot save parameter {name}: the step wrote no {declared.value_from.path}")
    return values


def read_result(folder: Path) -> str:
    """What the step wrote to its standard output, without the last newline."""
    try:
        with (folder / "stdout.log").open("rb") as file:
            return file.read(RESULT_LIMIT).decode(errors="replace").rstrip("\n")
    except FileNotFoundError:
        return ""


def message_file(folder: Path) -> Path:
    """Where a step writes why it ends as it does."""
    return folder / "outputs" / MESSAGE_FILE.lstrip("/")


def read_message(folder: Path) -> str:
    """Why a step ended as it did, in its own words: the last 4 KiB of them, as the kubelet reads it; mostly none."""
    try:
        with message_file(folder).open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _MESSAGE_BYTES))
            return file.read(_MESSAGE_BYTES).decode(errors="replace")
    except OSError:
        return ""


def step_deadline(
    template: Template, scope: Mapping[str, str], node_started: float, now: float
) -> float | None:
    """When the step must have ended, in seconds since the epoch."""
    moments = []
    if template.active_deadline_seconds is not None:
        moments.append(now + seconds(substitute(template.active_deadline_seconds, scope)))
    if template.timeout is not None:
        moments.append(node_started + seconds(substitute(template.timeout, scope)))
    return min(moments, default=None)
