"""`python -m tests.cluster build|up|down|status|kubeconfig`: the machine that the tests on a real cluster run on."""

from __future__ import annotations

import argparse
import fcntl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster import binaries, engine, image_builds, mirror, nodes


@contextmanager
def alone() -> Iterator[None]:
    """Hold the cache's lock: two at once would build and start the same things."""
    engine.cache().mkdir(parents=True, exist_ok=True)
    with (engine.cache() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise engine.ClusterError(
                f"another run already works on {engine.cache()}; wait for its end"
            ) from error
        yield


def build() -> None:
    """Programs, images and files: all that nodes need in a network without an outside."""
    engine.install_packages()
    engine.stage("container engine, network, mirror", serve, [str(time.time())])
    binaries.build_all()
    image_builds.build_all()
    mirror.build_files()


def serve() -> None:
    engine.start_engine()
    nodes.create_network()
    mirror.start()


def up(count: int) -> None:
    build()
    engine.stage(f"nodes: {count}", lambda: nodes.start_all(count), [str(time.time())])
    for name in list(nodes.ADDRESSES)[:count]:
        print(f"{name}  ssh -i {nodes.key()} root@{nodes.ADDRESSES[name]}")


def down() -> None:
    """Remove what runs and keep what was built; also nodes that stand still as their engine ended, by a reboot."""
    if engine.was_started():
        engine.start_engine()
    if engine.engine_answers():
        nodes.remove_all()
    mirror.stop()
    print("nodes, network and mirror removed" + (", dockerd stopped" if engine.stop_engine() else ""))


def status() -> None:
    answering = engine.engine_answers()
    print(f"cache     {engine.cache()}")
    print(
        f"engine    {'answers' if answering else 'none'}{', started here' if engine.running('dockerd') else ''}"
    )
    built = [name for part in binaries.wanted() for name in set(part.programs.values())]
    present = [name for name in built if (engine.cache() / "bin" / name).is_file()]
    print(f"programs  {len(present)} of {len(built)}")
    serving = mirror.answers(f"http://{mirror.REGISTRY}/v2/")
    wanted = [name for image in image_builds.wanted() for name in image.names]
    held = [name for name in wanted if serving and mirror.holds(name)]
    print(
        f"mirror    {mirror.REGISTRY} {f'holds {len(held)} of {len(wanted)} images' if serving else 'is down'}"
    )
    print(f"files     {mirror.FILES} {'serves' if mirror.answers(f'http://{mirror.FILES}/') else 'is down'}")
    for name, address in nodes.ADDRESSES.items():
        print(f"{name}     {address} {(nodes.state(name) if answering else '') or 'none'}")


def show_kubeconfig() -> None:
    if not nodes.kubeconfig().is_file():
        raise engine.ClusterError(f"no {nodes.kubeconfig()}: the playbook kubernetes.yml writes it")
    print(nodes.kubeconfig())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build what is missing: programs, images, files")
    starting = commands.add_parser("up", help="build, and start the nodes")
    starting.add_argument("--nodes", type=int, choices=(1, 3), default=3)
    commands.add_parser("down", help="remove nodes, network and servers; what was built stays")
    commands.add_parser("status", help="what is built and what runs")
    commands.add_parser("kubeconfig", help="the path of the administrator's kubeconfig")
    chosen = parser.parse_args()
    start = time.monotonic()
    try:
        if chosen.command == "status":
            status()
        elif chosen.command == "kubeconfig":
            show_kubeconfig()
        else:
            with alone():
                {"build": build, "up": lambda: up(chosen.nodes), "down": down}[chosen.command]()
            print(f"{chosen.command}: {time.monotonic() - start:.1f} s")
    except engine.ClusterError as error:
        print(f"tests.cluster {chosen.command} FAILED: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
