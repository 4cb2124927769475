"""An OpenStack in memory: what exists, strict where a mistake of ours would show.

What is referred to must exist, what is used is not deleted, addresses are given once.
"""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

PROJECT = uuid.uuid4().hex
SINGULAR = {
    "networks": "network",
    "subnets": "subnet",
    "ports": "port",
    "security-groups": "security_group",
    "security-group-rules": "security_group_rule",
    "floatingips": "floatingip",
    "servers": "server",
    "volumes": "volume",
}
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
Item = dict[str, Any]


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class OpenStack:
    """What exists, by kind and id."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Item]] = {kind: {} for kind in SINGULAR}
        self.attachments: dict[str, Item] = {}
        self.requests: list[str] = []
        self.create_seconds = 0.0
        self.answers = threading.Event()
        self.answers.set()
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
            raise Refusal(404, f"{SINGULAR[kind]} {key} could not be found")
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
