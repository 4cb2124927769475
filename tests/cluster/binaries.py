"""The programs of the cluster, each built from the pinned Go module in components/<name>."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.cluster.engine import HERE, ClusterError, cache, run, stage

MODULES = HERE / "components"
VERSION = {"kubernetes": "1.34.4", "argo-cd": "3.2.0", "argo-workflows": "4.0.2", "gateway-api": "1.4.0"}
TRAEFIK = "3.6.12"
LEGO = "github.com/go-acme/lego/v4"
WORKFLOWS = "github.com/argoproj/argo-workflows/v4"


@dataclass(frozen=True)
class Component:
    """One module and its programs: `programs` maps the name that Go gives to the name that is wanted."""

    name: str
    programs: dict[str, str]
    variables: dict[str, str] = field(default_factory=dict)
    vendored: bool = False
    gateway: bool = False
    """Of the gateway, which takes minutes to compile and is wanted only when asked for."""

    @property
    def module(self) -> Path:
        return MODULES / self.name


def same(*names: str) -> dict[str, str]:
    """Programs that keep the name of their package."""
    return {name: name for name in names}


def kubernetes_version() -> dict[str, str]:
    major, minor, _ = VERSION["kubernetes"].split(".")
    facts = {
        "gitVersion": f"v{VERSION['kubernetes']}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return {f"{package}.{name}": value for package in packages for name, value in facts.items()}


COMPONENTS = (
    Component(
        "kubernetes",
        same(
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kube-proxy",
            "kubelet",
            "kubeadm",
            "kubectl",
        ),
        kubernetes_version(),
    ),
    Component("pause", {"pause": "pause"}),
    Component("etcd", {"server": "etcd", "etcdctl": "etcdctl"}),
    Component("coredns", same("coredns")),
    Component("crane", same("crane")),
    Component(
        "argo-workflows",
        same("workflow-controller", "argoexec", "argo"),
        {
            f"{WORKFLOWS}.version": f"v{VERSION['argo-workflows']}",
            f"{WORKFLOWS}.gitTag": f"v{VERSION['argo-workflows']}",
            f"{WORKFLOWS}.gitTreeState": "clean",
        },
        vendored=True,
    ),
    Component(
        "argo-cd",
        {"cmd": "argocd"},
        {
            "github.com/argoproj/argo-cd/v3/common.version": VERSION["argo-cd"],
            "github.com/argoproj/argo-cd/v3/common.gitTreeState": "clean",
        },
    ),
    Component("kustomize", {"v5": "kustomize", "kustomize": "kustomize"}),
    Component("helm", same("helm")),
    Component("minio", same("minio")),
    Component(
        "traefik",
        same("traefik"),
        {"github.com/traefik/traefik/v3/pkg/version.Version": TRAEFIK},
        gateway=True,
    ),
)


def gateway_is_wanted() -> bool:
    """Whether the machine shall have what a gateway needs: `ROOKERY_CLUSTER_GATEWAY` is 1."""
    return os.environ.get("ROOKERY_CLUSTER_GATEWAY", "") == "1"


def wanted() -> list[Component]:
    """The components that this machine builds."""
    return [component for component in COMPONENTS if gateway_is_wanted() or not component.gateway]


def program(name: str) -> Path:
    """The path of a built program."""
    path = cache() / "bin" / name
    if not path.is_file():
        raise ClusterError(f"{name} is not built: run `python -m tests.cluster build`")
    return path


def module_folder(component: str, path: str) -> Path:
    """The source of a module that a component pins, unpacked by Go."""
    run("go", "mod", "download", path, cwd=MODULES / component)
    return Path(run("go", "list", "-m", "-f", "{{.Dir}}", path, cwd=MODULES / component).strip())


def complete_workflows(folder: Path) -> None:
    """Add what the module's archive leaves out: a symbolic link of the sources, and the folder of the web page."""
    source = folder / "vendor" / WORKFLOWS
    signals = source / "workflow/executor/osspecific"
    shutil.copyfile(signals / "signal_darwin.go", signals / "signal_linux.go")
    page = source / "ui/dist/app/index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("<!doctype html><title>Argo Workflows</title><p>This build has no web page.</p>\n")


NO_PROVIDER = """package dns

import (
	"fmt"

	"github.com/go-acme/lego/v4/challenge"
)

// NewDNSChallengeProviderByName knows none: this build asks nobody for certificates.
func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
	return nil, fmt.Errorf("this build has no DNS provider %q", name)
}
"""


def lighten_traefik(folder: Path) -> None:
    """Leave out the clients of 180 DNS hosts, by which certificates can be asked for: half of what is compiled."""
    lego = folder / "lego"
    shutil.copytree(module_folder("traefik", LEGO), lego)
    run("chmod", "-R", "u+w", lego)
    for path in (lego / "providers/dns").glob("*.go"):
        path.unlink()
    (lego / "providers/dns/none.go").write_text(NO_PROVIDER)
    run("go", "mod", "edit", f"-replace={LEGO}=./lego", cwd=folder)


def build(component: Component) -> None:
    """Compile a component's programs without cgo and put them into the cache's bin."""
    work = cache() / "build" / component.name
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(component.module, work)
    options = ["-trimpath"]
    if component.name == "traefik":
        lighten_traefik(work)
    if component.vendored:
        run("go", "mod", "vendor", "-e", cwd=work)
        complete_workflows(work)
        options.append("-mod=vendor")
    stamped = " ".join(f"-X {name}={value}" for name, value in component.variables.items())
    target = "." if (component.module / "main.go").is_file() else "tool"
    run(
        *("nice", "-n", "5", "go", "install", *options, f"-ldflags=-s -w {stamped}".rstrip(), target),
        cwd=work,
        environment={"CGO_ENABLED": "0", "GOBIN": str(work / "made"), "GOFLAGS": "-buildvcs=false"},
        limit=1800,
    )
    (cache() / "bin").mkdir(parents=True, exist_ok=True)
    for made in (work / "made").iterdir():
        made.replace(cache() / "bin" / component.programs[made.name])
    if component.vendored:
        shutil.rmtree(work / "vendor")


def built(component: Component) -> bool:
    """Whether every program of a component is in the cache."""
    return all((cache() / "bin" / name).is_file() for name in component.programs.values())


def build_all() -> None:
    """Build what is missing or whose pins changed."""
    if not shutil.which("go"):
        raise ClusterError(
            "the cluster's programs are built from Go modules and there is no go: install Go 1.25 or newer"
        )
    for component in wanted():
        stage(
            f"component {component.name}",
            partial(build, component),
            [component.module, repr(component.variables), *([NO_PROVIDER] if component.gateway else [])],
            partial(built, component),
        )
