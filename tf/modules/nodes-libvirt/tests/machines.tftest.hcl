mock_provider "libvirt" {}

variables {
  name            = "rookery"
  node_count      = 3
  cidr            = "192.168.100.0/24"
  base_image      = "https://images.example.org/debian-12.qcow2"
  direct_kernel   = null
  pool_path       = "/var/lib/libvirt/images/rookery"
  vcpus           = 2
  memory_mib      = 4096
  disk_gib        = 40
  data_gib        = 20
  domain_type     = "kvm"
  user            = "debian"
  ssh_public_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbc someone"]
}

run "three_machines_from_one_image" {
  assert {
    condition     = { for name, node in libvirt_domain.node : name => node.name } == { node1 = "rookery-node1", node2 = "rookery-node2", node3 = "rookery-node3" }
    error_message = "names of the machines"
  }
  assert {
    condition     = alltrue([for node in libvirt_domain.node : node.type == "kvm" && node.memory == 4096 && node.vcpu == 2])
    error_message = "size and kind of the machines"
  }
  assert {
    condition     = libvirt_volume.base.source == "https://images.example.org/debian-12.qcow2" && alltrue([for disk in libvirt_volume.root : disk.base_volume_id == libvirt_volume.base.id && disk.size == 40 * 1024 * 1024 * 1024])
    error_message = "each root disk lies over the one base image"
  }
  assert {
    condition     = { for name, node in libvirt_domain.node : name => length(node.disk) } == { node1 = 3, node2 = 2, node3 = 2 } && libvirt_volume.data[0].size == 20 * 1024 * 1024 * 1024
    error_message = "node1 alone has a disk for data"
  }
}

run "a_network_of_their_own" {
  assert {
    condition     = libvirt_network.nodes.mode == "nat" && libvirt_network.nodes.addresses == tolist(["192.168.100.0/24"])
    error_message = "the network"
  }
  assert {
    condition     = { for name, node in libvirt_domain.node : name => node.network_interface[0].addresses[0] } == { node1 = "192.168.100.11", node2 = "192.168.100.12", node3 = "192.168.100.13" }
    error_message = "the addresses that DHCP gives"
  }
  assert {
    condition     = length(distinct([for node in libvirt_domain.node : node.network_interface[0].mac])) == 3 && alltrue([for node in libvirt_domain.node : can(regex("^52:54:00(:[0-9a-f]{2}){3}$", node.network_interface[0].mac))])
    error_message = "each machine has a hardware address of its own"
  }
  assert {
    condition     = alltrue([for name, node in libvirt_domain.node : node.network_interface[0].hostname == name])
    error_message = "each machine is known by its name"
  }
}

run "user_data_has_public_keys_and_no_secret" {
  assert {
    condition     = alltrue([for told in terraform_data.first_boot : jsonencode(yamldecode(told.triggers_replace["user-data"]).users[0].ssh_authorized_keys) == jsonencode(var.ssh_public_keys)])
    error_message = "the public keys are in the user data"
  }
  assert {
    condition     = alltrue([for told in terraform_data.first_boot : !yamldecode(told.triggers_replace["user-data"]).ssh_pwauth && yamldecode(told.triggers_replace["user-data"]).users[0].lock_passwd && !can(yamldecode(told.triggers_replace["user-data"]).users[0].passwd)])
    error_message = "nobody logs in with a password"
  }
}

run "each_machine_is_told_its_own_name" {
  assert {
    condition     = alltrue([for name, told in terraform_data.first_boot : yamldecode(told.triggers_replace["meta-data"]) == { instance-id = "rookery-${name}", local-hostname = name }])
    error_message = "the host name is in the metadata"
  }
  assert {
    condition     = alltrue([for name, node in libvirt_domain.node : reverse(node.disk)[0].file == libvirt_volume.first_boot[name].id])
    error_message = "the image of the first boot is the last drive"
  }
  assert {
    condition     = alltrue([for name, image in libvirt_volume.first_boot : endswith(image.source, "/rookery-${name}.iso") && endswith(image.name, ".iso") && fileexists(image.source)])
    error_message = "each image was written, and a CD-ROM is known by its name"
  }
}

run "one_machine_without_a_data_disk" {
  variables {
    node_count = 1
    data_gib   = 0
    cidr       = "10.20.0.0/16"
  }
  assert {
    condition     = length(libvirt_domain.node) == 1 && length(libvirt_volume.data) == 0 && length(libvirt_domain.node["node1"].disk) == 2
    error_message = "one machine with a root disk and what it is told at its first boot"
  }
  assert {
    condition     = jsonencode(output.nodes) == jsonencode([{ name = "node1", address = "10.20.0.11", login_address = "10.20.0.11", jump = null, data_device = null }])
    error_message = "the output of one machine"
  }
}

run "software_emulation_with_a_kernel_beside_the_image" {
  variables {
    domain_type   = "qemu"
    direct_kernel = { kernel = "vmlinuz", initrd = "initrd.img", arguments = { root = "/dev/vda" }, flags = "ro" }
  }
  assert {
    condition     = alltrue([for node in libvirt_domain.node : node.type == "qemu" && node.kernel == "vmlinuz" && node.initrd == "initrd.img"])
    error_message = "the machines are emulated and boot the given kernel"
  }
  assert {
    condition     = alltrue([for node in libvirt_domain.node : length(node.cmdline) == 2 && node.cmdline[0].root == "/dev/vda" && node.cmdline[1]["_"] == "ro"])
    error_message = "flags of the kernel have a map of their own"
  }
}
