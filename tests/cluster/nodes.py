"""Three bare Debian machines: containers with systemd and sshd, at fixed addresses of one network."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.cluster.engine import HOST, SUBNET, ClusterError, cache, run, wait_for
from tests.cluster.image_builds import NODE, image_id

NETWORK = "rookery"
LABEL = "rookery.example/cluster=test"
ADDRESSES = {"node1": "192.168.1.11", "node2": "192.168.1.12", "node3": "192.168.1.13"}
# Host port on 127.0.0.1 -> port of node1: API server, Argo CD, Argo Workflows, HTTP, MLflow, MinIO's console, git.
PUBLISHED = {16443: 6443, 18081: 8081, 18080: 8080, 10080: 80, 18000: 8000, 19001: 9001, 15080: 3080}
# The rights of a machine of its own as far as containers can have them; SYS_RESOURCE is what hosts often lack.
RIGHTS = (
    *("--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--cgroupns=private", "--device-cgroup-rule=a *:* rwm"),
    *(f"--security-opt={option}=unconfined" for option in ("systempaths", "seccomp", "apparmor")),
    *("--tmpfs=/run", "--tmpfs=/tmp:exec", "--volume=/var"),
)


def create_network() -> None:
    """Create the nodes' network; one of that name with another subnet is an error."""
    known = run(
        "docker", "network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", NETWORK, check=False
    )
    if known.strip() == SUBNET:
        return
    if known.strip():
        raise ClusterError(
            f"the engine has a network {NETWORK} with {known.strip()}, {SUBNET} is needed: remove it"
        )
    run("docker", "network", "create", f"--label={LABEL}", f"--subnet={SUBNET}", f"--gateway={HOST}", NETWORK)


def key() -> Path:
    """The private key that opens the nodes; made on first use."""
    path = cache() / "ssh/id_ed25519"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rookery-cluster", "-f", path)
    return path


def nameservers() -> str:
    """The host's name servers that a node can reach too; empty leaves the engine's own."""
    lines = Path("/etc/resolv.conf").read_text().splitlines()
    servers = [line.split()[1] for line in lines if line.startswith("nameserver ")]
    return " ".join(server for server in servers if not server.startswith("127."))


def ssh(name: str, *command: str, check: bool = True) -> str:
    """Standard output of a command on a node, as root."""
    options = (
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "ConnectTimeout=3",
    )
    words = [word for option in options for word in ("-o", option)]
    return run("ssh", "-i", key(), *words, f"root@{ADDRESSES[name]}", *command, check=check)


def state(name: str) -> str:
    """`running`, `exited` and so on; empty when there is no such container."""
    return run("docker", "inspect", "--format", "{{.State.Status}}", name, check=False).strip()


def start(name: str) -> None:
    """Start one node; one that runs is left as it is, since a cluster may live in it."""
    if state(name):
        if run("docker", "inspect", "--format", "{{.Image}}", name).strip() != image_id(NODE):
            print(f"{name} runs an older node image; `down` and `up` replace it", flush=True)
        run("docker", "start", name)
        return
    published = (
        [f"--publish=127.0.0.1:{host}:{port}" for host, port in PUBLISHED.items()] if name == "node1" else []
    )
    run(
        *("docker", "run", "--detach", f"--name={name}", f"--hostname={name}", f"--label={LABEL}", *RIGHTS),
        *(f"--network={NETWORK}", f"--ip={ADDRESSES[name]}", *published),
        f"--env=ROOKERY_AUTHORIZED_KEY={key().with_suffix('.pub').read_text().strip()}",
        *(f"--env=ROOKERY_NAMESERVERS={nameservers()}", NODE),
    )


def ready(name: str) -> bool:
    """Whether sshd lets root in and systemd has started everything."""
    return ssh(name, "systemctl", "is-system-running", check=False).strip() in {"running", "degraded"}


def start_all(count: int) -> None:
    """Start the first `count` nodes and wait until each is a machine that Ansible can work on."""
    names = list(ADDRESSES)[:count]
    for name in names:
        start(name)
    for name in names:
        try:
            wait_for(f"systemd and sshd of {name} at {ADDRESSES[name]}", partial(ready, name), 90, 0.5)
        except ClusterError as error:
            raise ClusterError(
                f"{error}\n" + run("docker", "logs", "--tail", "30", name, check=False)
            ) from error


def remove_all() -> None:
    """Remove the nodes with their volumes, their network and the file of the cluster that lived in them."""
    ours = run("docker", "ps", "--all", "--quiet", f"--filter=label={LABEL}").split()
    if ours:
        run("docker", "rm", "--force", "--volumes", *ours)
    if run("docker", "network", "ls", "--quiet", f"--filter=name=^{NETWORK}$").strip():
        run("docker", "network", "rm", NETWORK)
    kubeconfig().unlink(missing_ok=True)


def kubeconfig() -> Path:
    """Where the playbooks of the test inventory leave the administrator's kubeconfig."""
    return cache() / "kubeconfig"
