"""A port of this machine whose connections end at a Service of the cluster, as `kubectl port-forward` makes it.

Only connections of this machine are taken. Source of the wire format: kubelet's portforward over WebSocket, subprotocol
v4.channel.k8s.io: each message begins with its channel, 0 data and 1 error, and each channel with its port number.

An event loop carries all connections of a port. With a thread for each, one that still read from a TLS connection when
that was closed took the first bytes of the next, which had been given the same file descriptor: two of a hundred hung.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from services.common.errors import NotFound, RookeryError, Unavailable
from workflows.cluster.api import Forbidden, Kubernetes, Object

_CHUNK = 64 << 10
# A busy node takes seconds to begin; one that has not by then is asked anew, through another pod if there is one.
_OPEN_SECONDS = (10.0, 20.0)
_CLOSE_SECONDS = 5.0
_DATA, _ERROR = 0, 1


class Forward:
    """From a free port of 127.0.0.1 to a port of a Service; `url` once it is made.

    Raises:
        NotFound: no such Service, port, or no pod behind it that is ready.
        Forbidden: forwarding is not allowed.
        Unavailable: the node does not begin.
    """

    def __init__(self, kube: Kubernetes, namespace: str, service: str, port: int) -> None:
        self._kube = kube
        self._place = (namespace, service, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"forward-{service}", daemon=True)
        self._thread.start()
        try:
            self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        except BaseException:
            self._stop()
            raise
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Takes no more connections, and ends those that there are."""
        if self._loop.is_closed():
            return
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(_CLOSE_SECONDS)
        self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()

    async def _listen(self) -> asyncio.Server:
        async with self._open():  # what cannot work is said now, and not by a broken connection later
            pass
        return await asyncio.start_server(self._carry, "127.0.0.1", 0, backlog=64)

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Where it cannot be reached, the client sees its connection closed, and asks again or says so. asyncio takes
        # the end by `close` for a fault when it is told of it.
        try:
            with suppress(RookeryError):
                async with self._open() as remote:
                    await _carry_both_ways(reader, writer, remote)
        except asyncio.CancelledError:
            # The loop ends too soon for a client that has not read all.
            writer.transport.abort()
        finally:
            writer.close()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[ClientConnection]:
        for seconds in _OPEN_SECONDS:
            try:
                remote = await self._connect(seconds)
                break
            except Unavailable as error:
                last = error
        else:
            raise last
        try:
            async with remote:
                yield remote
        finally:
            # Who is cancelled does not wait for the node's last word, and would leave the connection open.
            remote.transport.abort()

    async def _connect(self, seconds: float) -> ClientConnection:
        pod, port = await asyncio.to_thread(self._pod)
        namespace = self._place[0]
        access = self._kube.access
        address = access.server.replace("http", "ws", 1)
        try:
            return await connect(
                f"{address}/api/v1/namespaces/{namespace}/pods/{pod}/portforward?ports={port}",
                ssl=access.tls,
                additional_headers=access.headers,
                subprotocols=["v4.channel.k8s.io"],  # type: ignore[list-item]
                compression=None,
                max_size=None,
                open_timeout=seconds,
                close_timeout=1,
                ping_interval=None,
                proxy=None,
            )
        except InvalidStatus as error:
            status, body = error.response.status_code, (error.response.body or b"").decode(errors="replace")
            kind = Forbidden if status in (401, 403) else Unavailable
            raise kind(
                f"port {port} of pod {namespace}/{pod} cannot be forwarded: {status} {body[:200]}"
            ) from error
        except (OSError, WebSocketException, TimeoutError) as error:
            raise Unavailable(f"port {port} of pod {namespace}/{pod} cannot be forwarded: {error}") from error

    def _pod(self) -> tuple[str, int]:
        """A ready pod behind the Service, and its own port."""
        namespace, name, port = self._place
        service = self._kube.get(f"/api/v1/namespaces/{namespace}/services/{name}")
        ports = service["spec"].get("ports") or []
        entry = next((one for one in ports if one["port"] == port), None)
        if entry is None:
            known = ", ".join(str(one["port"]) for one in ports)
            raise NotFound(f"the Service {namespace}/{name} has no such port", value=port, allowed=known)
        selector = ",".join(
            f"{key}={value}" for key, value in (service["spec"].get("selector") or {}).items()
        )
        pods = self._kube.get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector)["items"]
        ready = [pod for pod in pods if selector and is_ready(pod)]
        if not ready:
            raise NotFound(f"no pod behind the Service {namespace}/{name} is ready")
        chosen = random.choice(ready)  # noqa: S311 any will do
        return str(chosen["metadata"]["name"]), _target(chosen, entry.get("targetPort", port))


def is_ready(pod: Object) -> bool:
    """Whether a pod takes requests and is not about to go."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def _target(pod: Object, target: Any) -> int:
    if isinstance(target, int):
        return target
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or []:
            if port.get("name") == target:
                return int(port["containerPort"])
    raise NotFound(f"pod {pod['metadata']['name']} has no port of this name", value=target)


async def _carry_both_ways(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, remote: ClientConnection
) -> None:
    """Until one side has ended."""
    both = [asyncio.create_task(way) for way in (_to_remote(reader, remote), _to_client(remote, writer))]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        # Now, as the closing words with the node take up to a second.
        writer.close()


async def _to_remote(reader: asyncio.StreamReader, remote: ClientConnection) -> None:
    with suppress(OSError, WebSocketException):
        while data := await reader.read(_CHUNK):
            await remote.send(bytes([_DATA]) + data)


async def _to_client(remote: ClientConnection, writer: asyncio.StreamWriter) -> None:
    named: set[int] = set()
    with suppress(OSError, WebSocketException):
        async for message in remote:
            data = message.encode() if isinstance(message, str) else message
            channel = data[0] if data else _ERROR
            if channel not in named:
                named.add(channel)
            elif channel == _DATA:
                writer.write(data[1:])
                await writer.drain()
            else:
                return
