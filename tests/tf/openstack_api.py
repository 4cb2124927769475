"""The part of OpenStack's HTTP interfaces that the environment `chameleon` uses, on an ephemeral port.

The real provider talks to it, so plans, applies and destroys are real but for the machines.

Formats: https://docs.openstack.org/api-ref/
"""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.tf.openstack_cloud import FLAVOR, IMAGE, PROJECT, SINGULAR, Item, OpenStack, Refusal

PASSWORD = "correct-horse-battery"
_FILTERS = (
    "name",
    "network_id",
    "security_group_id",
    "device_id",
    "id",
    "floating_ip_address",
    "port_id",
    "status",
)


class Handler(BaseHTTPRequestHandler):
    """Routes of Keystone, Neutron, Nova, Cinder and Glance under one port."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_arguments: object) -> None:
        """Nothing on standard error."""

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"null") if length else None
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.server.cloud.requests.append(f"{self.command} {self.path}")
        self.server.cloud.answers.wait(300)
        try:
            status, answer, headers = self._route(parts.path.rstrip("/"), query, body)
        except Refusal as refusal:
            status, answer, headers = (
                refusal.status,
                {"error": {"message": refusal.message, "code": refusal.status}},
                {},
            )
        data = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in (
            headers | {"Content-Type": "application/json", "Content-Length": str(len(data))}
        ).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _route(self, path: str, query: Item, body: Any) -> tuple[int, Any, dict[str, str]]:
        cloud = self.server.cloud
        if path == "/identity/v3/auth/tokens" and self.command == "POST":
            given = body["auth"]["identity"]["password"]["user"]["password"]
            if given != PASSWORD:
                raise Refusal(401, "The request you have made requires authentication.")
            return 201, self.server.token(), {"X-Subject-Token": "token"}
        if path == f"/image/v2/images/{IMAGE['id']}":
            return 200, IMAGE, {}
        if path == "/image/v2/images":
            return 200, {"images": [IMAGE] if query.get("name") == IMAGE["name"] else []}, {}
        if re.fullmatch(r"/compute/v2.1/flavors(/detail)?", path):
            return 200, {"flavors": [FLAVOR]}, {}
        if path.startswith("/compute/v2.1/flavors/"):
            return 200, {"flavor": FLAVOR}, {}
        volumes = re.fullmatch(r"/compute/v2.1/servers/([^/]+)/os-volume_attachments(?:/([^/]+))?", path)
        if volumes:
            return self._attachment(volumes.group(1), volumes.group(2), body)
        interfaces = re.fullmatch(r"/compute/v2.1/servers/([^/]+)/os-interface", path)
        if interfaces:
            ports = [p for p in cloud.items["ports"].values() if p["device_id"] == interfaces.group(1)]
            return (
                200,
                {
                    "interfaceAttachments": [
                        {
                            "port_id": p["id"],
                            "net_id": p["network_id"],
                            "mac_addr": p["mac_address"],
                            "port_state": "ACTIVE",
                            "fixed_ips": p["fixed_ips"],
                        }
                        for p in ports
                    ]
                },
                {},
            )
        tags = re.fullmatch(r"/network/v2.0/([a-z-]+)/([^/]+)/tags", path)
        if tags and self.command == "PUT":
            cloud.get(tags.group(1), tags.group(2))["tags"] = body["tags"]
            return 200, {"tags": body["tags"]}, {}
        found = re.fullmatch(r"/(?:network/v2.0|compute/v2.1|volume/v3)/([a-z-]+)(?:/([^/]+))?", path)
        if found and found.group(1) in SINGULAR:
            return self._collection(found.group(1), found.group(2), query, body)
        raise Refusal(404, f"not here: {self.command} {path}")

    def _collection(
        self, kind: str, key: str | None, query: Item, body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        cloud, one = self.server.cloud, SINGULAR[kind]
        if self.command == "POST":
            values = {name: value for name, value in body[one].items() if value is not None}
            made = cloud.add(kind, values)
            return 202 if kind in ("servers", "volumes") else 201, {one: made}, {}
        if key is None or key == "detail":
            return (
                200,
                {kind.replace("-", "_"): [item for item in cloud.items[kind].values() if _fits(item, query)]},
                {},
            )
        if self.command == "DELETE":
            cloud.delete(kind, key)
            return 204 if kind != "volumes" else 202, None, {}
        item = cloud.get(kind, key)
        if kind == "servers":
            item["addresses"] = cloud.addresses(key)
        if self.command == "PUT":
            item.update(body[one])
        return 200, {one: item}, {}

    def _attachment(self, server: str, volume: str | None, body: Any) -> tuple[int, Any, dict[str, str]]:
        cloud = self.server.cloud
        if self.command == "POST":
            return 200, {"volumeAttachment": cloud.attach(server, body["volumeAttachment"]["volumeId"])}, {}
        if self.command == "DELETE" and volume is not None:
            cloud.detach(volume)
            return 202, None, {}
        if volume is None:
            return 200, {"volumeAttachments": list(cloud.attachments.values())}, {}
        if volume not in cloud.attachments:
            raise Refusal(404, "no such attachment")
        return 200, {"volumeAttachment": cloud.attachments[volume]}, {}


def _fits(item: Item, query: Item) -> bool:
    if "tags" in query and not set(query["tags"].split(",")) <= set(item["tags"]):
        return False
    return all(item.get(name) == query[name] for name in _FILTERS if name in query)


class Server(ThreadingHTTPServer):
    """The interfaces on 127.0.0.1."""

    daemon_threads = True

    def __init__(self) -> None:
        self.cloud = OpenStack()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def token(self) -> Item:
        """A token with the catalogue of services."""
        paths = {
            "identity": "/identity/v3",
            "network": "/network",
            "compute": "/compute/v2.1",
            "volumev3": "/volume/v3",
            "block-storage": "/volume/v3",
            "image": "/image",
        }
        catalog = [
            {
                "type": kind,
                "name": kind,
                "id": kind,
                "endpoints": [
                    {
                        "id": kind,
                        "interface": "public",
                        "region": "R",
                        "region_id": "R",
                        "url": self.address + path,
                    }
                ],
            }
            for kind, path in paths.items()
        ]
        user = {"id": "u", "name": "ada", "domain": {"id": "default", "name": "Default"}}
        project = {"id": PROJECT, "name": "rookery", "domain": {"id": "default", "name": "Default"}}
        return {
            "token": {
                "methods": ["password"],
                "expires_at": "2036-01-01T00:00:00.000000Z",
                "issued_at": "2026-01-01T00:00:00.000000Z",
                "user": user,
                "project": project,
                "catalog": catalog,
                "roles": [{"id": "m", "name": "member"}],
            }
        }

    def clouds_yaml(self, path: Path, password: str = PASSWORD) -> Path:
        """Writes credentials for it."""
        auth = {
            "auth_url": f"{self.address}/identity/v3",
            "username": "ada",
            "password": password,
            "project_name": "rookery",
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        }
        path.write_text(json.dumps({"clouds": {"openstack": {"auth": auth, "region_name": "R"}}}))
        return path
