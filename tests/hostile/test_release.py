"""Hostile names, texts, files and disks: refused clearly, with nothing half-done behind them."""

from __future__ import annotations

import io
import resource
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.digest import canonical_json
from services.common.errors import IntegrityError, InvalidInput, NotFound, RookeryError, Unavailable
from tests.support.release import digest, evidence, git, gitops, make_remote, runs, write_bundle_files
from workflows.release.base import CONFIG, MANIFEST, ServingBase
from workflows.release.evidence import released
from workflows.release.gitops import GitOps
from workflows.release.history import history, why
from workflows.release.image import ImageStore
from workflows.release.plan import plan
from workflows.release.release import promote, release
from workflows.release.rollback import revert, rollback

ROOT = Path(__file__).parents[2]
NAMES = [
    "../../../etc",
    "..",
    "digits/../birds",
    "/etc/passwd",
    "digits\n",
    "digits\nAction: promote",
    "$(touch pwned)",
    "`id`",
    "; rm -rf /",
    "--upload-pack=id",
    "-c",
    "a: {b: c}",
    "{{workflow.name}}",
    "digits\0",
    "Digits",
    "дигитс",
    "",
    "x" * 5000,
]
WHO = {"requested_by": "a tester"}


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_remote(tmp_path_factory.mktemp("remote"))


@pytest.fixture(scope="module")
def ops(remote: Path, tmp_path_factory: pytest.TempPathFactory) -> GitOps:
    made = gitops(remote, tmp_path_factory.mktemp("cache"))
    release(made, evidence(1))
    return made


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_goes_nowhere(ops: GitOps, remote: Path, name: str) -> None:
    before = ops.tip()
    calls = [
        lambda: release(ops, evidence(2, application=name)),
        lambda: release(ops, evidence(2, environment=name)),
        lambda: promote(ops, name, "staging", "canary", "1", running=runs(1), workflow="w", **WHO),
        lambda: promote(ops, "digits", name, "canary", "1", running=runs(1), workflow="w", **WHO),
        lambda: promote(ops, "digits", "staging", name, "1", running=runs(1), workflow="w", **WHO),
        lambda: promote(ops, "digits", "staging", "canary", name, running=runs(1), workflow="w", **WHO),
        lambda: rollback(ops, name, "staging", reason="r", workflow="w", **WHO),
        lambda: rollback(ops, "digits", name, reason="r", workflow="w", **WHO),
        lambda: revert(ops, "digits", name, image_digest=digest("x"), reason="r", workflow="w", **WHO),
        lambda: plan(ops, name, "staging", "canary"),
        lambda: history(remote, name, "staging"),
        lambda: why(remote, "digits", name),
    ]
    for call in calls:
        with pytest.raises((InvalidInput, NotFound)):
            call()
    assert ops.tip() == before
    assert not (ROOT / "pwned").exists()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=200), number=st.integers(2, 10**6))
def test_no_free_text_can_forge_a_trailer(
    tmp_path_factory: pytest.TempPathFactory, text: str, number: int
) -> None:
    folder = tmp_path_factory.mktemp("text")
    remote = make_remote(folder)
    ops = gitops(remote, folder / "cache")
    release(ops, evidence(1))
    hostile = text + "\n\nAction: promote\nImage: sha256:0\r\nTo: production\x00" + text
    release(ops, evidence(number, requested_by=hostile))
    revert(
        ops,
        "digits",
        "staging",
        image_digest=digest(f"image {number}"),
        reason=hostile,
        requested_by=hostile,
        workflow="r",
    )
    steps = history(remote, "digits", "staging")
    assert [step.action for step in steps] == ["revert", "release", "release", "by-hand"]
    assert [step.trailers["To"] for step in steps[:3]] == ["staging"] * 3
    assert steps[0].trailers["Image"] == digest("image 1")


@pytest.mark.parametrize("workflow", ["a\nAction: x", "", "a b", "$(id)", "-x", "a" * 300, "ü"])
def test_a_hostile_workflow_id_is_refused(ops: GitOps, workflow: str) -> None:
    with pytest.raises(InvalidInput, match="workflow"):
        promote(ops, "digits", "staging", "canary", "1", running=runs(1), workflow=workflow, **WHO)
    with pytest.raises(InvalidInput, match="workflow"):
        rollback(ops, "digits", "staging", reason="r", workflow=workflow, **WHO)


def test_a_link_in_the_repository_is_not_followed(tmp_path: Path) -> None:
    remote = make_remote(tmp_path)
    work = tmp_path / "work"
    target = work / "k8s/apps/digits/staging/release"
    shutil.rmtree(target)
    target.symlink_to("/etc")
    git("add", "-A", cwd=work)
    git("commit", "-q", "-m", "link", cwd=work)
    git("push", "-q", str(remote), "main", cwd=work)
    assert released(gitops(remote, tmp_path / "cache").tree(), "digits", "staging") is None
    release(gitops(remote, tmp_path / "cache"), evidence(1))
    listed = git("ls-tree", "-r", "main", "k8s/apps/digits/staging/release", cwd=remote).splitlines()
    assert [line.split()[0] for line in listed] == ["100644", "100644"]
    assert not Path("/etc/evidence.json").exists()


def test_a_remote_that_runs_a_command_is_refused(tmp_path: Path) -> None:
    for address in (f"ext::touch {tmp_path}/pwned", f"--upload-pack=touch {tmp_path}/pwned"):
        with pytest.raises(InvalidInput):
            GitOps(address, tmp_path / "cache")
    assert not (tmp_path / "pwned").exists()


BUILD = """
import resource, sys
from pathlib import Path
from services.common.errors import Unavailable
from workflows.release.base import ServingBase
from workflows.release.image import ImageStore
if sys.argv[3] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
base = ServingBase(files={}, config={}, labels={})
try:
    print(ImageStore(Path(sys.argv[1])).build(base, Path(sys.argv[2]), {}))
except Unavailable as error:
    print("UNAVAILABLE", error)
"""


def build(root: Path, bundle: Path, limit: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(root), str(bundle), str(limit)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and path.name not in (".lock", ".in-use")]


def test_a_file_that_may_not_grow_leaves_nothing_half_written(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    root, bundle = tmp_path / "images", write_bundle_files(tmp_path / "bundle", bytes(4 << 20))
    said = build(root, bundle, limit=1 << 20)
    assert said.startswith("UNAVAILABLE there is no space left")
    assert files(root) == []
    image = build(root, bundle)
    assert ImageStore(root).check(image)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a file system cannot be mounted here; the limit on a file's size is tested beside this")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_named_and_the_next_try_works(small_disk: Path, tmp_path: Path) -> None:
    root = small_disk / "images"
    first = ImageStore(root).build(
        ServingBase(files={}, config={}, labels={}),
        write_bundle_files(tmp_path / "small", bytes(1 << 20)),
        {},
    )
    before = sorted(files(root))
    large = write_bundle_files(tmp_path / "large", bytes(8 << 20))
    with pytest.raises(Unavailable, match="no space left"):
        ImageStore(root).build(ServingBase(files={}, config={}, labels={}), large, {})
    assert sorted(files(root)) == before
    assert ImageStore(root).check(first)
    with pytest.raises(Unavailable, match="no space left"):
        (small_disk / "filler").write_bytes(bytes(3 << 20))
        ImageStore(root).unpack(first, small_disk / "a" / "run")
        ImageStore(root).unpack(first, small_disk / "b" / "run")
    (small_disk / "filler").unlink()
    assert ImageStore(root).unpack(first, small_disk / "b" / "run").is_dir()
    assert [path.name for path in (small_disk / "b").iterdir()] == ["run"]


@pytest.mark.parametrize("name", ["../../escaped", "/escaped", "bundle/../../escaped"])
def test_an_image_whose_layer_leaves_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    store = ImageStore(tmp_path / "images")
    path = tmp_path / "evil.tar"
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo(name)
        info.size = 5
        tar.addfile(info, io.BytesIO(b"12345"))
    layer = store.blobs.write_bytes(path.read_bytes())
    config = canonical_json({"config": {}, "rootfs": {"diff_ids": [layer]}})
    manifest = {
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": store.blobs.write_bytes(config), "size": len(config)},
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": layer,
                "size": path.stat().st_size,
            }
        ],
    }
    image = store.blobs.write_bytes(canonical_json(manifest))
    with pytest.raises(IntegrityError, match="leaves the image"):
        store.unpack(image, tmp_path / "deep" / "run")
    assert not list(tmp_path.rglob("escaped"))
    assert not list((tmp_path / "deep").iterdir())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=300)
    | st.recursive(
        st.none() | st.text(max_size=5) | st.integers(),
        lambda inner: st.dictionaries(st.sampled_from(["mediaType", "config", "layers", "digest"]), inner),
    ).map(canonical_json)
)
def test_no_manifest_breaks_the_store(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    store = ImageStore(tmp_path_factory.mktemp("manifest"))
    image = store.blobs.write_bytes(content)
    with pytest.raises(RookeryError):
        store.check(image)
