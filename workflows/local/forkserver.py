"""A warm parent for steps: it has imported Hera's runner once, and forks a supervisor for each step in milliseconds.

Speaks datagrams of JSON over the socket it inherits: `{"preload": […]}` imports modules, `{"start": folder}` answers
`{"folder", "pid"}`. It ends when the engine's end of the socket is closed; supervisors and their steps live on.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import sys
from pathlib import Path

from workflows.local.supervisor import supervise

MESSAGE_BYTES = 1 << 16


def serve(connection: socket.socket) -> None:
    """Answers until the engine is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while data := connection.recv(MESSAGE_BYTES):
        message = json.loads(data)
        for module in message.get("preload", []):
            with contextlib.suppress(Exception):
                importlib.import_module(module)
        if "preload" in message:
            gc.collect()
            gc.freeze()
        if "start" in message:
            pid = os.fork()
            if pid == 0:
                _supervise_and_exit(connection, Path(message["start"]))
            with contextlib.suppress(BrokenPipeError, ConnectionError):
                connection.send(json.dumps({"folder": message["start"], "pid": pid}).encode())


def _supervise_and_exit(connection: socket.socket, folder: Path) -> None:
    code = 1
    try:
        connection.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        supervise(folder)
        code = 0
    finally:
        os._exit(code)


def main() -> None:
    """`python -m workflows.local.forkserver FD`."""
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        serve(connection)


if __name__ == "__main__":
    main()
