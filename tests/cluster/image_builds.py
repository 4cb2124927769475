"""Images made from Debian packages and the built programs, under the names that public registries give them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.cluster import mirror
from tests.cluster.binaries import COMPONENTS, TRAEFIK, VERSION, gateway_is_wanted, module_folder, program
from tests.cluster.engine import HERE, cache, run, stage

FOLDERS = HERE / "images"
DEBIAN = "debian:bookworm-slim"
PYTHON = "python:3.11-slim-bookworm"
NODE = "rookery-test/node:latest"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
SOURCES = "".join(
    f"deb http://deb.debian.org/{line} main\n"
    for line in ("debian bookworm", "debian bookworm-updates", "debian-security bookworm-security")
)
LEFT_OUT = ("doc", "man", "locale", "info")


@dataclass(frozen=True)
class Image:
    """One image: its folder in images/, the programs it holds, its names in the mirror and how it is built."""

    folder: str
    names: tuple[str, ...]
    programs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    extra: Callable[[Path], None] | None = field(default=None, compare=False)
    gateway: bool = False


def certificates(context: Path) -> None:
    shutil.copyfile(CERTIFICATES, context / CERTIFICATES.name)


def bare_root(context: Path) -> None:
    """What distroless images have besides the program: certificates, users, name lookup and a /tmp."""
    etc = context / "root/etc"
    (etc / "ssl/certs").mkdir(parents=True)
    shutil.copyfile(CERTIFICATES, etc / "ssl/certs" / CERTIFICATES.name)
    (etc / "nsswitch.conf").write_text("hosts: files dns\n")
    (etc / "passwd").write_text(
        "root:x:0:0:root:/root:/sbin/nologin\nargo:x:8737:0:argo:/home/argo:/sbin/nologin\n"
    )
    (context / "root/tmp").mkdir()
    (context / "root/tmp").chmod(0o1777)


def argo_cd_scripts(context: Path) -> None:
    """The entry point and the wrappers of gpg that Argo CD's own sources bring."""
    source = module_folder("argo-cd", "github.com/argoproj/argo-cd/v3")
    for script in ("entrypoint.sh", "hack/gpg-wrapper.sh", "hack/git-verify-wrapper.sh"):
        shutil.copyfile(source / script, context / Path(script).name)


KUBERNETES = f"v{VERSION['kubernetes']}"
ARGO = f"v{VERSION['argo-workflows']}"
ARGO_PROGRAMS = {"argoexec": "argoexec", "workflow-controller": "workflow-controller", "argocli": "argo"}
IMAGES = (
    Image("pause", ("pause:3.10.1",), ("pause",)),
    *(
        Image("binary", (f"{name}:{KUBERNETES}",), (name,), ("--build-arg", f"BINARY={name}"))
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    ),
    Image("kube-proxy", (f"kube-proxy:{KUBERNETES}",), ("kube-proxy",)),
    Image("etcd", ("etcd:3.6.5-0",), ("etcd", "etcdctl")),
    Image("coredns", ("coredns/coredns:v1.12.1",), ("coredns",), extra=certificates),
    *(
        Image(
            "argo",
            (f"argoproj/{target}:{ARGO}",),
            tuple(ARGO_PROGRAMS.values()),
            ("--target", target),
            bare_root,
        )
        for target in ARGO_PROGRAMS
    ),
    Image(
        "argocd",
        (f"argoproj/argocd:v{VERSION['argo-cd']}",),
        ("argocd", "helm", "kustomize"),
        extra=argo_cd_scripts,
    ),
    Image("redis", ("library/redis:8.2.2-alpine", "docker/library/redis:8.2.2-alpine")),
    Image("postgres", ("library/postgres:15-bookworm",)),
    Image("minio", ("minio/minio:RELEASE.2025-09-07T16-13-09Z",), ("minio",)),
    Image("registry", ("library/registry:2.8.3",)),
    Image("prometheus", ("prom/prometheus:v2.42.0",)),
    Image("alertmanager", ("prom/alertmanager:v0.25.0",)),
    Image("traefik", (f"library/traefik:v{TRAEFIK}",), ("traefik",), extra=certificates, gateway=True),
)


def wanted() -> list[Image]:
    """The images that this machine builds."""
    return [image for image in IMAGES if gateway_is_wanted() or not image.gateway]


def image_id(name: str) -> str:
    """The engine's id of a local image, empty when there is none."""
    return run("docker", "image", "inspect", "--format", "{{.Id}}", name, check=False).strip()


def local(name: str) -> bool:
    """Whether the engine has an image of that name."""
    return bool(image_id(name))


def pushed(image: Image) -> bool:
    """Whether the mirror has an image under all its names."""
    return all(mirror.holds(name) for name in image.names)


def docker_build(context: Path, *options: str) -> None:
    """Build with the classic builder; apt and pip inside reach the network as the host does."""
    run(
        "docker",
        "build",
        "--quiet",
        "--network",
        "host",
        *options,
        context,
        environment={"DOCKER_BUILDKIT": "0"},
    )


def build_debian() -> None:
    """Bootstrap Debian 12 from its packages, with this machine's certificates, and import it."""
    run(
        *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--include=ca-certificates"),
        *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in LEFT_OUT),
        "--customize-hook=copy-in /usr/local/share/ca-certificates /usr/local/share",
        '--customize-hook=chroot "$1" update-ca-certificates',
        f"--customize-hook=printf '{SOURCES.replace(chr(10), chr(92) + 'n')}' > \"$1/etc/apt/sources.list\"",
        *("bookworm", cache() / "build/debian.tar", "http://deb.debian.org/debian"),
    )
    run("docker", "import", cache() / "build/debian.tar", DEBIAN)
    (cache() / "build/debian.tar").unlink()


def build_bases() -> None:
    """The two base images that the laboratory's Dockerfiles name, and the node's image."""
    (cache() / "build").mkdir(parents=True, exist_ok=True)
    stage(f"image {DEBIAN}", build_debian, [SOURCES, *LEFT_OUT, CERTIFICATES], partial(local, DEBIAN))
    for name, folder in ((PYTHON, "python"), (NODE, "node")):
        stage(
            f"image {name}",
            partial(docker_build, FOLDERS / folder, "--tag", name),
            [FOLDERS / folder, image_id(DEBIAN)],
            partial(local, name),
        )


def build_and_push(image: Image) -> None:
    """Build one image from its folder and programs, and push it under each of its names."""
    with tempfile.TemporaryDirectory(dir=cache() / "build") as folder:
        context = Path(folder) / "context"
        shutil.copytree(FOLDERS / image.folder, context)
        for name in image.programs:
            (context / name).hardlink_to(program(name))
        if image.extra:
            image.extra(context)
        references = [f"{mirror.REGISTRY}/{name}" for name in image.names]
        docker_build(context, *image.options, *(word for name in references for word in ("--tag", name)))
    for reference in references:
        run("docker", "push", "--quiet", reference)


def stamps_of(programs: tuple[str, ...]) -> list[str]:
    """The stamps of the components that these programs come from: they change when a program is built again."""
    owners = {name: component.name for component in COMPONENTS for name in component.programs.values()}
    paths = [cache() / "stamps" / f"component {owners[name]}" for name in programs]
    return [path.read_text() if path.is_file() else "" for path in paths]


def build_all() -> None:
    """Build and push every image that the mirror lacks or whose inputs changed."""
    build_bases()
    for image in wanted():
        base = image_id(DEBIAN) if DEBIAN in (FOLDERS / image.folder / "Dockerfile").read_text() else ""
        stage(
            f"image {image.names[0]}",
            partial(build_and_push, image),
            [FOLDERS / image.folder, *image.names, *image.options, *stamps_of(image.programs), base],
            partial(pushed, image),
        )
