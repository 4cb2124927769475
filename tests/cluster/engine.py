"""Where things are kept, how commands run, stages that are skipped when nothing changed, and the container engine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from workflows.local.pids import start_time

HERE = Path(__file__).resolve().parent
SUBNET = "192.168.1.0/24"
HOST = "192.168.1.1"
PACKAGES = {
    "dockerd": "docker.io",
    "mmdebstrap": "mmdebstrap",
    "docker-registry": "docker-registry",
    "iptables": "iptables",
}


class ClusterError(RuntimeError):
    """The test machine cannot be built or started; the message says what was tried and what was seen."""


def cache() -> Path:
    """The folder outside git that holds everything built: ROOKERY_CLUSTER_CACHE, else below XDG_CACHE_HOME."""
    chosen = os.environ.get("ROOKERY_CLUSTER_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rookery/cluster"


def run(
    *command: str | Path,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    limit: float = 900,
    check: bool = True,
) -> str:
    """Standard output of a command; a failure or more than `limit` seconds is a ClusterError with its last lines."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except FileNotFoundError as error:
        raise ClusterError(f"{words[0]} is not installed: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"`{' '.join(words[:6])}` did not end within {limit:.0f} s") from error
    if check and done.returncode:
        last = "\n".join((done.stderr + done.stdout).strip().splitlines()[-25:])
        raise ClusterError(f"`{' '.join(words[:8])}` ended with {done.returncode}:\n{last}")
    return done.stdout


def digest(inputs: Iterable[str | bytes | Path]) -> str:
    """One SHA-256 over texts, and over the names and bytes of files and folders."""
    total = hashlib.sha256()
    for item in inputs:
        if isinstance(item, Path):
            paths = sorted(path for path in item.rglob("*") if path.is_file()) if item.is_dir() else [item]
            for path in paths:
                with path.open("rb") as content:
                    inside = hashlib.file_digest(content, "sha256").digest()
                total.update(path.relative_to(item.parent).as_posix().encode() + b"\0" + inside)
        else:
            total.update(item if isinstance(item, bytes) else item.encode())
        total.update(b"\1")
    return total.hexdigest()


def stage(
    name: str,
    work: Callable[[], None],
    inputs: Iterable[str | bytes | Path] = (),
    present: Callable[[], bool] = lambda: True,
) -> bool:
    """Run `work` unless its stamp has the hash of these inputs and what it made is present; print the seconds."""
    stamp = cache() / "stamps" / name.replace("/", "_").replace(":", "_")
    wanted = digest(inputs)
    if stamp.is_file() and stamp.read_text() == wanted and present():
        print(f"{name:<44} unchanged", flush=True)
        return False
    start = time.monotonic()
    work()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(wanted)
    print(f"{name:<44} {time.monotonic() - start:7.1f} s", flush=True)
    return True


def forget(name: str) -> None:
    """Remove a stage's stamp, so that it runs again."""
    (cache() / "stamps" / name.replace("/", "_").replace(":", "_")).unlink(missing_ok=True)


def install_packages() -> None:
    """Install the Debian packages whose programs are missing; needs root and apt."""
    missing = sorted({package for program, package in PACKAGES.items() if not shutil.which(program)})
    if not missing:
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise ClusterError(
            f"missing on this machine: {', '.join(missing)}; install them, or run as root on Debian"
        )
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", environment=quiet)
    run("apt-get", "install", "--yes", "--no-install-recommends", *missing, environment=quiet)


def start_process(name: str, *command: str | Path) -> int:
    """Start a process of its own session that outlives this one; its log and id are kept in the cache."""
    logs = cache() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in command]
    path = shutil.which(words[0])
    if path is None:
        raise ClusterError(f"{words[0]} is not installed")
    with (logs / f"{name}.log").open("ab") as log, Path(os.devnull).open() as nothing:
        actions = [(os.POSIX_SPAWN_DUP2, nothing.fileno(), 0)]
        actions += [(os.POSIX_SPAWN_DUP2, log.fileno(), stream) for stream in (1, 2)]
        pid = os.posix_spawn(path, words, os.environ, file_actions=actions, setsid=True)
    record = cache() / "run" / f"{name}.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({"pid": pid, "started": start_time(pid)}))
    return pid


def running(name: str) -> int | None:
    """The id of a process that `start_process` made, if it lives and its number was not given to another since."""
    record = cache() / "run" / f"{name}.json"
    if not record.is_file():
        return None
    known = json.loads(record.read_text())
    started = start_time(known["pid"])
    return int(known["pid"]) if started is not None and started == known.get("started") else None


def stop_process(name: str, patience: float = 30) -> bool:
    """End a process that `start_process` made; whether there was one."""
    pid = running(name)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        try:
            wait_for(f"{name} (process {pid}) to end", lambda: running(name) is None, patience)
        except ClusterError:
            os.kill(pid, signal.SIGKILL)
    (cache() / "run" / f"{name}.json").unlink(missing_ok=True)
    return pid is not None


def wait_for(what: str, condition: Callable[[], bool], limit: float, pause: float = 0.2) -> None:
    """Return as soon as the condition holds; a ClusterError says what was waited for."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise ClusterError(f"waited {limit:.0f} s for {what}")
        time.sleep(pause)


def engine_answers() -> bool:
    """Whether a container engine can be talked to."""
    if not shutil.which("docker"):
        return False
    try:
        return "linux" in run("docker", "version", "--format", "{{.Server.Os}}", limit=20, check=False)
    except ClusterError:
        return False


def start_engine() -> None:
    """Make sure that a container engine answers and pushes to the mirror over plain HTTP."""
    if not engine_answers():
        if os.geteuid() or not shutil.which("dockerd"):
            raise ClusterError(
                "no container engine answers, and dockerd cannot be started: it needs root and docker.io"
            )
        Path("/var/run/docker.pid").unlink(missing_ok=True)
        pid = start_process(
            "dockerd",
            "dockerd",
            "--exec-opt",
            "native.cgroupdriver=cgroupfs",
            f"--insecure-registry={SUBNET}",
        )
        try:
            wait_for("dockerd to answer", lambda: engine_answers() or running("dockerd") is None, 60)
            if not engine_answers():
                raise ClusterError(f"dockerd (process {pid}) ended")
        except ClusterError as error:
            log = (cache() / "logs/dockerd.log").read_text(errors="replace").splitlines()[-15:]
            raise ClusterError(f"no container engine can run here: {error}\n" + "\n".join(log)) from error
    allowed = run("docker", "info", "--format", "{{json .RegistryConfig.InsecureRegistryCIDRs}}")
    if SUBNET not in allowed:
        raise ClusterError(
            f"the container engine pushes to {HOST}:5000 only over HTTPS: add {SUBNET} to insecure-registries in "
            f"/etc/docker/daemon.json and restart it; it allows {allowed.strip()}"
        )


def was_started() -> bool:
    """Whether dockerd was ever started here and not stopped since; it need not live any more."""
    return (cache() / "run/dockerd.json").is_file()


def stop_engine() -> bool:
    """Stop dockerd if it was started here."""
    return stop_process("dockerd", 60)
