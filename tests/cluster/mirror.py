"""The closed network's sources: an image registry, and a file server with the paths of the official hosts."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.cluster.binaries import MODULES, VERSION, module_folder, program
from tests.cluster.engine import (
    HOST,
    ClusterError,
    cache,
    run,
    running,
    stage,
    start_process,
    stop_process,
    wait_for,
)

REGISTRY = f"{HOST}:5000"
FILES = f"{HOST}:8099"
GATEWAY_API = "sigs.k8s.io/gateway-api"
KUBERNETES_PROGRAMS = ("kubeadm", "kubelet", "kubectl")
MANIFEST_TYPES = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "docker.distribution.manifest.v2",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "oci.image.index.v1",
    )
)


def answers(url: str, accept: str = "*/*") -> bool:
    """Whether a GET is answered with a success."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            urllib.request.Request(url, headers={"Accept": accept}), timeout=5
        ) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def holds(image: str) -> bool:
    """Whether the registry has `name:tag`."""
    name, tag = image.rsplit(":", 1)
    return answers(f"http://{REGISTRY}/v2/{name}/manifests/{tag}", MANIFEST_TYPES)


def repositories() -> list[str]:
    """The names of what the registry holds."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        f"http://{REGISTRY}/v2/_catalog?n=1000", timeout=5
    ) as response:
        return list(json.load(response)["repositories"])


def configuration() -> Path:
    """Write the registry's configuration."""
    path = cache() / "registry.json"
    path.write_text(
        json.dumps(
            {
                "version": "0.1",
                "log": {"level": "warn", "accesslog": {"disabled": True}},
                "storage": {
                    "filesystem": {"rootdirectory": str(cache() / "registry"), "maxthreads": 100},
                    "delete": {"enabled": True},
                    "cache": {"blobdescriptor": "inmemory"},
                },
                "http": {"addr": REGISTRY},
            }
        )
    )
    return path


def start_server(name: str, url: str, *command: str | Path) -> None:
    """Start one of the two servers unless it runs, and wait until it answers."""
    if running(name) is None:
        if answers(url):
            raise ClusterError(f"another program already answers at {url}; it is needed for the {name}")
        start_process(name, *command)
    try:
        wait_for(f"the {name} at {url}", lambda: answers(url) or running(name) is None, 20)
    finally:
        if running(name) is None:
            log = (cache() / "logs" / f"{name}.log").read_text(errors="replace")[-1500:]
            raise ClusterError(f"the {name} ended at once:\n{log}")


def start() -> None:
    """Serve the registry and the files at the host's address in the nodes' network."""
    (cache() / "mirror").mkdir(parents=True, exist_ok=True)
    start_server("registry", f"http://{REGISTRY}/v2/", "docker-registry", "serve", configuration())
    serve = (sys.executable, "-m", "http.server", "--bind", HOST, "--directory", cache() / "mirror")
    start_server("files", f"http://{FILES}/", *serve, FILES.rsplit(":", 1)[1])


def stop() -> None:
    """Stop both servers."""
    stop_process("registry")
    stop_process("files")


def place(path: Path) -> Path:
    """Where a file of the download hosts lies in the mirror."""
    target = cache() / "mirror" / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    return target


def add_checksum(path: Path) -> None:
    with path.open("rb") as content:
        path.with_name(path.name + ".sha256").write_text(hashlib.file_digest(content, "sha256").hexdigest())


def fill_files() -> None:
    """Lay out Kubernetes' programs and the installation manifests, with a SHA-256 beside what upstream has one of."""
    for name in KUBERNETES_PROGRAMS:
        target = place(Path("kubernetes", f"v{VERSION['kubernetes']}", "bin/linux/amd64", name))
        target.hardlink_to(program(name))
        add_checksum(target)
    target = place(Path("argo-cd", f"v{VERSION['argo-cd']}", "install.yaml"))
    shutil.copyfile(
        module_folder("argo-cd", "github.com/argoproj/argo-cd/v3") / "manifests/install.yaml", target
    )
    add_checksum(target)
    source = (
        module_folder("argo-workflows", "github.com/argoproj/argo-workflows/v4") / "manifests/cluster-install"
    )
    manifest = run(program("kubectl"), "kustomize", "--load-restrictor=LoadRestrictionsNone", source)
    target = place(Path("argo-workflows", f"v{VERSION['argo-workflows']}", "install.yaml"))
    target.write_text(manifest.replace(":latest", f":v{VERSION['argo-workflows']}"))
    add_checksum(target)
    for path in module_folder("gateway-api", GATEWAY_API).glob("config/crd/standard/gateway.*.yaml"):
        shutil.copyfile(path, place(Path("gateway-api", f"v{VERSION['gateway-api']}", path.name)))


def build_files() -> None:
    """Fill the file server's tree when a component changed."""
    stamps = [cache() / "stamps" / f"component {name}" for name in VERSION]
    stage(
        "files of the download hosts",
        fill_files,
        [*(path.read_text() for path in stamps if path.is_file()), MODULES / "gateway-api"],
        lambda: all((cache() / "mirror" / name).is_dir() for name in VERSION),
    )
