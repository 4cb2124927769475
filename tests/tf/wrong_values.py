"""A wrong value for every rule of the environments' variables, as HCL, and what the rule says."""

from __future__ import annotations

LIBVIRT = "envs/libvirt"
CHAMELEON = "envs/chameleon"
VOLUME = "envs/chameleon/volume"

RIGHT = {
    LIBVIRT: {
        "base_image": '"https://images.example.org/debian-12.qcow2"',
        "ssh_public_keys": '["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbc someone"]',
    },
    CHAMELEON: {
        "suffix": '"ada"',
        "key_pair": '"laptop"',
        "image": '"Debian-12"',
        "ssh_sources": '["198.51.100.7/32"]',
        "platform_sources": '["198.51.100.0/24"]',
    },
    VOLUME: {"suffix": '"ada"'},
}

_NUMBER = "must be a whole number"
# Environment, variable, value, what is said.
WRONG = [
    (LIBVIRT, "name", '"Rookery"', "name must be 2 to 15 lower-case letters, digits and hyphens"),
    (LIBVIRT, "name", '"a-name-that-is-too-long"', "name must be 2 to 15"),
    (LIBVIRT, "libvirt_uri", '"xen:///system"', "libvirt_uri must be a QEMU address"),
    (
        LIBVIRT,
        "base_image",
        '"/nowhere/debian.qcow2"',
        "base_image must be an address, or the whole path, from / on, of a qcow2 file that exists",
    ),
    (LIBVIRT, "base_image", '"main.tf"', "base_image must be an address, or the whole path"),
    (LIBVIRT, "base_image", '"/tmp"', "base_image must be an address, or the whole path"),
    (LIBVIRT, "ssh_public_keys", "[]", "ssh_public_keys needs one key at least"),
    (
        LIBVIRT,
        "ssh_public_keys",
        '["-----BEGIN OPENSSH PRIVATE KEY-----"]',
        "ssh_public_keys must be lines of .pub files",
    ),
    (
        LIBVIRT,
        "ssh_public_keys",
        '["ssh-ed25519 AAAA x\\nruncmd: [reboot]"]',
        "ssh_public_keys must be lines of .pub files",
    ),
    (LIBVIRT, "user", '"root"', "user must be a Linux login other than root"),
    (LIBVIRT, "user", '"a b"', "user must be a Linux login"),
    (LIBVIRT, "node_count", "0", f"node_count {_NUMBER} from 1 to 9"),
    (LIBVIRT, "node_count", "10", f"node_count {_NUMBER} from 1 to 9"),
    (LIBVIRT, "node_count", "2.5", f"node_count {_NUMBER} from 1 to 9"),
    (LIBVIRT, "cidr", '"192.168.100.5/24"', "cidr must be an IPv4 network from /16 to /27"),
    (LIBVIRT, "cidr", '"192.168.100.0/28"', "cidr must be an IPv4 network from /16 to /27"),
    (LIBVIRT, "cidr", '"fd00::/64"', "cidr must be an IPv4 network from /16 to /27"),
    (LIBVIRT, "cidr", '"300.0.0.0/24"', "cidr must be an IPv4 network from /16 to /27"),
    (LIBVIRT, "vcpus", "0", f"vcpus {_NUMBER} from 1 to 64"),
    (LIBVIRT, "memory_mib", "256", f"memory_mib {_NUMBER} of MiB from 512 to 1048576"),
    (LIBVIRT, "disk_gib", "1", f"disk_gib {_NUMBER} of GiB from 4 to 4096"),
    (LIBVIRT, "data_gib", "-1", f"data_gib {_NUMBER} of GiB from 0 to 4096"),
    (LIBVIRT, "domain_type", '"xen"', "domain_type must be kvm or qemu"),
    (LIBVIRT, "pool_path", '"images"', "pool_path must be an absolute path"),
    (
        LIBVIRT,
        "direct_kernel",
        '{ kernel = "/nowhere", initrd = "/nowhere", arguments = {} }',
        "direct_kernel must name a kernel and an initrd that exist, by their whole paths",
    ),
    (CHAMELEON, "cloud", '"my cloud"', "cloud must be the name of an entry in clouds.yaml"),
    (CHAMELEON, "suffix", '"Ada_L"', "suffix must be 1 to 20 lower-case letters, digits and inner hyphens"),
    (CHAMELEON, "suffix", '""', "suffix must be 1 to 20"),
    (
        CHAMELEON,
        "key_pair",
        '"ssh-ed25519 AAAA/B+ me"',
        "key_pair must be the name of a key pair that OpenStack knows, not a key",
    ),
    (CHAMELEON, "user", '"root"', "user must be a Linux login other than root"),
    (CHAMELEON, "node_count", "0", f"node_count {_NUMBER} from 1 to 9"),
    (CHAMELEON, "node_count", "1.5", f"node_count {_NUMBER} from 1 to 9"),
    (CHAMELEON, "image", '" "', "image must be the name of an image"),
    (CHAMELEON, "flavor", '""', "flavor must be the name of a flavor"),
    (CHAMELEON, "flavor_id", '"not an id"', "flavor_id must be the id of a flavor"),
    (CHAMELEON, "private_cidr", '"192.168.1.0/30"', "private_cidr must be an IPv4 network from /16 to /27"),
    (CHAMELEON, "private_cidr", '"192.168.1.11/24"', "private_cidr must be an IPv4 network from /16 to /27"),
    (CHAMELEON, "external_network", '""', "external_network must be the name of a network"),
    (CHAMELEON, "floating_ip_pool", '""', "floating_ip_pool must be the name of an external network"),
    (CHAMELEON, "ssh_sources", "[]", "ssh_sources must be one or more networks"),
    (CHAMELEON, "ssh_sources", '["198.51.100.7"]', "ssh_sources must be one or more networks"),
    (CHAMELEON, "ssh_sources", '["0.0.0.0/0"]', "ssh_sources opens SSH to the Internet"),
    (CHAMELEON, "ssh_sources", '["0.0.0.0/1", "128.0.0.0/1"]', "ssh_sources opens SSH to the Internet"),
    (CHAMELEON, "ssh_sources", '["::/0"]', "ssh_sources opens SSH to the Internet"),
    (CHAMELEON, "platform_sources", '["everybody"]', "platform_sources must be networks"),
    (CHAMELEON, "platform_sources", '["0.0.0.0/0"]', "platform_sources opens the platform to the Internet"),
    (VOLUME, "cloud", '"a/b"', "cloud must be the name of an entry in clouds.yaml"),
    (VOLUME, "suffix", '"-ada"', "suffix must be 1 to 20"),
    (VOLUME, "volume_gib", "0", f"volume_gib {_NUMBER} of GiB from 1 to 2048"),
]
