"""The part of OpenStack's HTTP interfaces that the environment `chameleon` uses, in memory, on an ephemeral port.

The real provider talks to it, so plans, applies and destroys are real but for the machines. It is strict where a
mistake of ours would show: what is referred to must exist, what is used is not deleted, addresses are given once.

Formats: https://docs.openstack.org/api-ref/
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

PASSWORD = "correct-horse-battery"
PROJECT = uuid.uuid4().hex
_SINGULAR = {
    "networks": "network",
    "subnets": "subnet",
    "ports": "port",
    "security-groups": "security_group",
    "security-group-rules": "security_group_rule",
    "floatingips": "floatingip",
    "servers": "server",
    "volumes": "volume",
}
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
Item = dict[str, Any]


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class OpenStack:
    """What exists, by kind and id."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Item]] = {kind: {} for kind in _SINGULAR}
        self.attachments: dict[str, Item] = {}
        self.requests: list[str] = []
        self.create_seconds = 0.0
        self._lock = threading.RLock()
        self._numbers = iter(range(20, 250))
        for name in ("sharednet1", "public"):
            self.add("networks", {"name": name, "shared": True, "router:external": name == "public"})

    def add(self, kind: str, values: Item) -> Item:
        """Makes one."""
        with self._lock:
            item = {"id": str(uuid.uuid4()), "project_id": PROJECT, "tenant_id": PROJECT, "tags": []} | values
            if kind in ("networks", "ports"):
                item |= {"admin_state_up": True, "status": "ACTIVE"}
            getattr(self, f"_make_{kind.replace('-', '_')}", lambda _item: None)(item)
            self.items[kind][item["id"]] = item
            return item

    def names(self, kind: str) -> list[str]:
        """Names of all of a kind."""
        return sorted(item["name"] for item in self.items[kind].values())

    def ours(self) -> dict[str, int]:
        """How many there are of each kind besides what was there at first."""
        counts = {kind: len(found) for kind, found in self.items.items()}
        counts["networks"] -= 2
        return {kind: count for kind, count in counts.items() if count}

    def get(self, kind: str, key: str) -> Item:
        if key not in self.items[kind]:
            raise Refusal(404, f"{_SINGULAR[kind]} {key} could not be found")
        return self.items[kind][key]

    def _make_ports(self, item: Item) -> None:
        network = self.get("networks", item["network_id"])
        used = {
            ip["ip_address"]
            for port in self.items["ports"].values()
            if port["network_id"] == network["id"]
            for ip in port["fixed_ips"]
        }
        if item.get("port_security_enabled", True) is False and item.get("security_groups"):
            raise Refusal(400, "Port security must be enabled for security groups")
        for group in item.setdefault("security_groups", []):
            self.get("security-groups", group)
        fixed = item.get("fixed_ips") or [
            {"subnet_id": "shared", "ip_address": f"10.56.1.{next(self._numbers)}"}
        ]
        for ip in fixed:
            if ip["ip_address"] in used:
                raise Refusal(
                    409, f"IP address {ip['ip_address']} already allocated in network {network['id']}"
                )
        item |= {
            "fixed_ips": fixed,
            "mac_address": f"fa:16:3e:00:00:{next(self._numbers):02x}",
            "device_id": "",
            "device_owner": "",
        }

    def _make_subnets(self, item: Item) -> None:
        self.get("networks", item["network_id"])
        item |= {"allocation_pools": [], "dns_nameservers": [], "host_routes": [], "enable_dhcp": True}

    def _make_security_group_rules(self, item: Item) -> None:
        self.get("security-groups", item["security_group_id"])

    def _make_floatingips(self, item: Item) -> None:
        item |= {
            "floating_ip_address": f"127.0.0.{next(self._numbers)}",
            "port_id": item.get("port_id"),
            "status": "DOWN",
        }

    def _make_servers(self, item: Item) -> None:
        if item.get("key_name") != "laptop":
            raise Refusal(400, "Invalid key_name provided.")
        for network in item["networks"]:
            port = self.get("ports", network["port"])
            if port["device_id"]:
                raise Refusal(409, f"Port {port['id']} is still in use.")
            port["device_id"] = item["id"]
        time.sleep(self.create_seconds)
        item |= {
            "status": "ACTIVE",
            "flavor": {"id": item.pop("flavorRef")},
            "image": {"id": item.pop("imageRef")},
            "metadata": {},
            "created": _NOW,
            "updated": _NOW,
            "addresses": {},
            "security_groups": [],
            "OS-EXT-STS:vm_state": "active",
            "OS-EXT-STS:power_state": 1,
        }

    def _make_volumes(self, item: Item) -> None:
        item |= {
            "status": "available",
            "attachments": [],
            "metadata": {},
            "bootable": "false",
            "volume_type": "ceph",
        }

    def addresses(self, server: str) -> dict[str, list[Item]]:
        """Addresses of a server by the names of its networks."""
        found: dict[str, list[Item]] = {}
        for port in self.items["ports"].values():
            if port["device_id"] == server:
                name = self.get("networks", port["network_id"])["name"]
                found[name] = [
                    {
                        "addr": port["fixed_ips"][0]["ip_address"],
                        "version": 4,
                        "OS-EXT-IPS:type": "fixed",
                        "OS-EXT-IPS-MAC:mac_addr": port["mac_address"],
                    }
                ]
        return found

    def delete(self, kind: str, key: str) -> None:
        """Removes one that nothing uses."""
        with self._lock:
            item = self.get(kind, key)
            ports = self.items["ports"].values()
            if kind == "networks" and any(port["network_id"] == key for port in ports):
                raise Refusal(409, "There are one or more ports still in use on the network")
            if kind == "security-groups" and any(key in port["security_groups"] for port in ports):
                raise Refusal(409, f"Security Group {key} in use.")
            if kind == "volumes" and item["attachments"]:
                raise Refusal(400, "Volume must not be attached")
            if kind == "servers":
                for port in ports:
                    if port["device_id"] == key:
                        port["device_id"] = ""
            if kind == "networks":
                for subnet in [s for s in self.items["subnets"].values() if s["network_id"] == key]:
                    del self.items["subnets"][subnet["id"]]
            if kind == "security-groups":
                for rule in [
                    r for r in self.items["security-group-rules"].values() if r["security_group_id"] == key
                ]:
                    del self.items["security-group-rules"][rule["id"]]
            del self.items[kind][key]

    def attach(self, server: str, volume: str) -> Item:
        found = self.get("volumes", volume)
        if found["attachments"]:
            raise Refusal(400, f"volume {volume} is already attached")
        self.get("servers", server)
        found["attachments"] = [
            {"server_id": server, "volume_id": volume, "attachment_id": volume, "device": "/dev/vdb"}
        ]
        found["status"] = "in-use"
        self.attachments[volume] = {
            "id": volume,
            "volumeId": volume,
            "serverId": server,
            "device": "/dev/vdb",
        }
        return self.attachments[volume]

    def detach(self, volume: str) -> None:
        if self.attachments.pop(volume, None) is None:
            raise Refusal(404, "no such attachment")
        self.get("volumes", volume).update(attachments=[], status="available")


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
        if found and found.group(1) in _SINGULAR:
            return self._collection(found.group(1), found.group(2), query, body)
        raise Refusal(404, f"not here: {self.command} {path}")

    def _collection(
        self, kind: str, key: str | None, query: Item, body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        cloud, one = self.server.cloud, _SINGULAR[kind]
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


_NOW = "2026-01-01T00:00:00Z"
IMAGE = {
    "id": str(uuid.uuid4()),
    "name": "Debian-12",
    "status": "active",
    "created_at": _NOW,
    "updated_at": _NOW,
    "size": 1,
    "visibility": "public",
    "tags": [],
    "file": "",
    "schema": "",
}
FLAVOR = {"id": "f1", "name": "m1.large", "ram": 8192, "vcpus": 4, "disk": 40, "links": []}


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
