"""What the state folder holds that nothing needs any more; all of it can be removed while the platform runs.

Each thing is taken with the lock that its users take, gets a name that nobody reads, and is deleted then. So a killed
call leaves what the next one finds, and never half of something that is still read.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from services.common.digest import short
from services.common.errors import Conflict, NotFound
from workflows.local.runs import RunFolder, get_run, list_runs
from workflows.local.settings import PlatformSettings
from workflows.release.git import Git
from workflows.release.image import ImageStore
from workflows.release.retention import prune_images, released_images
from workflows.release.tree import Tree

DAY = 86_400.0
_HOUR = 3600.0
_ENDED_SECONDS = 60.0
_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")
_GOING = ".pruned-"
_LOG_BYTES = 16 << 20
_KEPT_LOG_BYTES = 1 << 20


@dataclass(frozen=True)
class Bounds:
    """What is kept: both the newest `runs` and what is younger than `days`; `releases` of each environment."""

    days: float = 30.0
    runs: int = 20
    releases: int = 5

    def before(self, least: float) -> float:
        """The moment, in seconds since the epoch, before which things are old; at least so many seconds ago."""
        return time.time() - max(self.days * DAY, least)


@dataclass(frozen=True)
class Leftover:
    """A thing that is not needed.

    Attributes:
        size: bytes that its removal frees.
        why: since what it is not needed.
    """

    what: str
    name: str
    size: int
    why: str
    remove: Callable[[], bool] = field(repr=False, compare=False)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {"what": self.what, "name": self.name, "bytes": self.size, "why": self.why}


def prune(
    settings: PlatformSettings, bounds: Bounds, *, dry_run: bool = False
) -> Iterator[tuple[Leftover, bool]]:
    """Remove what is not needed, one thing after another, each with whether it is gone; `dry_run` only finds it.

    Raises:
        Conflict: another call is at work.
        IntegrityError, NotFound: git or an image cannot be read, so nobody knows which images are needed.
    """
    with _alone(settings.home / "prune.lock"):
        for find in (_runs, _verdicts, _features, _objects, _logs):
            for leftover in list(find(settings, bounds)):
                yield leftover, not dry_run and leftover.remove()
        yield from _images(settings, bounds, dry_run)


def _runs(settings: PlatformSettings, bounds: Bounds) -> Iterator[Leftover]:
    # Whoever waits for a run still looks at how it ended.
    root, before = settings.home / "runs", bounds.before(_ENDED_SECONDS)
    finished = [run for run in list_runs(settings.home) if run.done and run.engine is None]
    for run in finished[bounds.runs :]:
        ended = run.finished or run.created
        if ended < before:
            remove = partial(_remove_run, settings.home, run.name)
            yield Leftover("run", run.name, _size(root / run.name), f"{run.phase} {_ago(ended)}", remove)
    # A submission that was killed, or a former call of this.
    yield from _hidden(root, "run", time.time() - DAY)


def _remove_run(home: Path, name: str) -> bool:
    folder = RunFolder(home / "runs" / name)
    with suppress(NotFound, FileNotFoundError), _taken(folder.lock) as ours:
        return ours and get_run(home, name).done and _remove(folder.path)
    return False


def _verdicts(settings: PlatformSettings, bounds: Bounds) -> Iterator[Leftover]:
    """What the evaluate service keeps of each run; MLflow has it too, and gives it back when somebody asks."""
    root, before = settings.home / "evaluate" / "runs", bounds.before(_HOUR)
    for folder in _folders(root):
        used = _last_use(folder)
        if used < before:
            remove = partial(_remove_locked, folder / "lock", folder, before)
            yield Leftover("verdict", folder.name, _size(folder), f"judged {_ago(used)}", remove)
    yield from _hidden(root, "verdict", time.time() - DAY)


def _features(settings: PlatformSettings, bounds: Bounds) -> Iterator[Leftover]:
    """Prepared inputs of trainings; computed again when they are wanted."""
    root, before = settings.home / "data" / "features", bounds.before(DAY)
    for folder in _folders(root):
        used = _last_use(folder)
        if used < before:
            remove = partial(_remove_locked, folder.with_suffix(".lock"), folder, before)
            yield Leftover("features", folder.name, _size(folder), f"used {_ago(used)}", remove)
    yield from _hidden(root, "features", time.time() - DAY)


def _objects(settings: PlatformSettings, bounds: Bounds) -> Iterator[Leftover]:
    """Copies of an object store; fetched again when they are wanted."""
    root, before = settings.home / "data" / "objects", bounds.before(DAY)
    for folder in _folders(root):
        used = _modified(folder / "state.jsonl") or _modified(folder)
        if used < before:
            remove = partial(_remove_locked, folder / "lock", folder, before)
            yield Leftover("objects", folder.name, _size(folder), f"used {_ago(used)}", remove)
    yield from _hidden(root, "objects", time.time() - DAY)


def _logs(settings: PlatformSettings, bounds: Bounds) -> Iterator[Leftover]:
    before = bounds.before(_HOUR)
    for path in sorted(settings.logs.glob("*")):
        size = path.stat().st_size
        if path.suffix == ".1":
            if _modified(path) < before:
                yield Leftover(
                    "log", path.name, size, f"cut off {_ago(_modified(path))}", partial(_unlink, path)
                )
        elif size > _LOG_BYTES:
            freed = size - _KEPT_LOG_BYTES
            yield Leftover("log", path.name, freed, "the end of it stays as .1", partial(_cut, path))


def _cut(path: Path) -> bool:
    """Keep the newest lines beside; the processes that append to a log go on with an empty one."""
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _KEPT_LOG_BYTES))
        log.readline()
        fresh = path.with_name(f"{path.name}.1.new")
        with fresh.open("wb") as kept:
            shutil.copyfileobj(log, kept)
        fresh.replace(path.with_name(f"{path.name}.1"))
    os.truncate(path, 0)
    return True


def _images(settings: PlatformSettings, bounds: Bounds, dry_run: bool) -> Iterator[tuple[Leftover, bool]]:
    before = bounds.before(_HOUR)
    needed: set[str] = set()

    def ask() -> set[str]:
        needed.update(needed_images(settings, bounds.releases))
        return needed

    why = f"neither released lately nor younger than {bounds.days:g} days"
    store = ImageStore(settings.images)
    for image in prune_images(store, ask, before, dry_run=dry_run):
        name = (
            f"{short(image.digest)} version {image.version or '?'}" if image.digest else "parts of no image"
        )
        yield Leftover("image", name, image.size, why, lambda: True), not dry_run
    for found in list(_bundles(settings, needed, before)):
        yield found, not dry_run and found.remove()


def _bundles(settings: PlatformSettings, needed: set[str], before: float) -> Iterator[Leftover]:
    """Copies of bundles that steps keep; made again when they are wanted."""
    unpacked, loaded = (settings.home / "cache" / name for name in ("images/unpacked", "bundles"))
    for folder in _folders(unpacked):
        used = _last_use(folder)
        if f"sha256:{folder.name}" not in needed and used < before:
            remove = partial(_remove, folder)
            yield Leftover("bundle", folder.name[:12], _size(folder), f"unpacked {_ago(used)}", remove)
    for folder in _folders(loaded):
        used = _last_use(folder)
        if used < before:
            remove = partial(_remove_bundle, settings.home, folder, before)
            yield Leftover("bundle", folder.name, _size(folder), f"loaded {_ago(used)}", remove)
    yield from _hidden(unpacked, "bundle", time.time() - DAY)


def _remove_bundle(home: Path, folder: Path, before: float) -> bool:
    """A step packs what it has loaded without the lock, so nothing goes while a workflow is under way."""
    if any(not run.done for run in list_runs(home)):
        return False
    return _remove_locked(folder.with_suffix(".lock"), folder, before)


def needed_images(settings: PlatformSettings, releases: int) -> set[str]:
    """Digests of images that git, a workflow that is not over, or a serving process may still ask for.

    Raises:
        IntegrityError, NotFound: git cannot be read.
    """
    git = Git(settings.gitops)
    if not (settings.gitops / "HEAD").exists():
        raise NotFound("there is no GitOps remote, so nobody knows which images are needed", value=git.folder)
    needed = released_images(Tree(git, git.text("rev-parse", "--verify", "HEAD^{commit}")), releases)
    files = list(settings.deploy.glob("*/*/*.json"))
    for run in list_runs(settings.home):
        if not run.done:
            folder = RunFolder(settings.home / "runs" / run.name)
            files += [folder.workflow, folder.journal]
    for path in files:
        with suppress(FileNotFoundError):
            needed |= {digest.decode() for digest in _DIGEST.findall(path.read_bytes())}
    return needed


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.touch()
    with _taken(path) as ours:
        if not ours:
            raise Conflict("another `rookery prune` is at work", value=str(path.parent))
        yield


@contextmanager
def _taken(path: Path) -> Iterator[bool]:
    """Whether nobody has a lock, which is held then; one that does not exist was never taken."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield True
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = True
        except BlockingIOError:
            ours = False
        yield ours


def _remove_locked(lock: Path, folder: Path, before: float) -> bool:
    """Remove a folder unless it is in use or was used since it was looked at."""
    with _taken(lock) as ours:
        return ours and _last_use(folder) < before and _remove(folder)


def _remove(folder: Path) -> bool:
    going = folder.with_name(f"{_GOING}{folder.name}-{time.time_ns()}")
    try:
        folder.rename(going)
    except FileNotFoundError:
        return False
    shutil.rmtree(going, ignore_errors=True)
    return not going.exists()


def _unlink(path: Path) -> bool:
    path.unlink(missing_ok=True)
    return True


def _hidden(root: Path, what: str, before: float) -> Iterator[Leftover]:
    """Folders with names that nobody reads, left by whoever was killed."""
    for folder in sorted(root.glob(".*")):
        mine = folder.name.startswith(_GOING)
        if folder.is_dir() and (mine or _modified(folder) < before):
            remove = partial(_discard, folder)
            yield Leftover(what, folder.name, _size(folder), "left by a process that was killed", remove)


def _discard(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("*") if path.is_dir() and not path.name.startswith("."))


def _last_use(folder: Path) -> float:
    """When the folder or a file in it was changed; locks say nothing."""
    times = [_modified(path) for path in folder.glob("*") if path.name != "lock"]
    return max([_modified(folder), *times])


def _modified(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0


def _size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(parent) / name).lstat().st_size
    return total


def _ago(moment: float) -> str:
    days = (time.time() - moment) / DAY
    return f"{days:.0f} days ago" if days >= 2 else f"{days * 24:.0f} h ago"
