locals {
  names = [for index in range(var.node_count) : "node${index + 1}"]
  nodes = {
    for index, name in local.names : name => {
      address = cidrhost(var.cidr, 11 + index)
      # Fixed, so that the lease of an address belongs to one machine; 52:54:00 is QEMU's own prefix.
      mac = join(":", concat(["52", "54", "00"], slice(regexall("..", md5("${var.name}/${name}")), 0, 3)))
    }
  }
  first_boot = {
    for name in local.names : name => {
      "meta-data" = yamlencode({ instance-id = "${var.name}-${name}", local-hostname = name })
      "user-data" = templatefile("${path.module}/user-data.yaml.tftpl", { user = var.user, keys = var.ssh_public_keys })
    }
  }
  first_boot_images = { for name in local.names : name => "${path.root}/.terraform/first-boot/${var.name}-${name}.iso" }
  gib               = 1024 * 1024 * 1024
}

resource "libvirt_network" "nodes" {
  name      = var.name
  mode      = "nat"
  domain    = "${var.name}.internal"
  addresses = [var.cidr]
  autostart = true

  dhcp {
    enabled = true
  }

  dns {
    enabled    = true
    local_only = true

    dynamic "hosts" {
      for_each = local.nodes
      content {
        hostname = hosts.key
        ip       = hosts.value.address
      }
    }
  }
}

resource "libvirt_pool" "disks" {
  name = var.name
  type = "dir"

  target {
    path = var.pool_path
  }
}

resource "libvirt_volume" "base" {
  name   = "${var.name}-base.qcow2"
  pool   = libvirt_pool.disks.name
  source = var.base_image
  format = "qcow2"
}

resource "libvirt_volume" "root" {
  for_each = local.nodes

  name           = "${var.name}-${each.key}.qcow2"
  pool           = libvirt_pool.disks.name
  base_volume_id = libvirt_volume.base.id
  size           = var.disk_gib * local.gib
  format         = "qcow2"
}

resource "libvirt_volume" "data" {
  count = var.data_gib > 0 ? 1 : 0

  name   = "${var.name}-data.qcow2"
  pool   = libvirt_pool.disks.name
  size   = var.data_gib * local.gib
  format = "qcow2"
}

# Not libvirt_cloudinit_disk: that reads its image back at every plan, and hangs in one or two of a hundred readings
# (docs/decisions/0012).
resource "terraform_data" "first_boot" {
  for_each = local.first_boot

  triggers_replace = each.value

  provisioner "local-exec" {
    command     = "python3 '${path.module}/first_boot.py' '${local.first_boot_images[each.key]}'"
    environment = { FIRST_BOOT = jsonencode(each.value) }
    quiet       = true
  }
}

resource "libvirt_volume" "first_boot" {
  for_each = local.nodes

  name   = "${var.name}-${each.key}-cloud-init.iso"
  pool   = libvirt_pool.disks.name
  source = local.first_boot_images[each.key]
  format = "iso"

  lifecycle {
    replace_triggered_by = [terraform_data.first_boot[each.key]]
  }
}

resource "libvirt_domain" "node" {
  for_each = local.nodes

  name   = "${var.name}-${each.key}"
  type   = var.domain_type
  vcpu   = var.vcpus
  memory = var.memory_mib
  kernel = try(var.direct_kernel.kernel, null)
  initrd = try(var.direct_kernel.initrd, null)
  # Flags without a value have a map of their own, or every plan wants new machines.
  cmdline = var.direct_kernel == null ? null : concat(
    [var.direct_kernel.arguments],
    var.direct_kernel.flags == "" ? [] : [{ "_" = var.direct_kernel.flags }],
  )

  cpu {
    mode = var.domain_type == "kvm" ? "host-passthrough" : "maximum"
  }

  disk {
    volume_id = libvirt_volume.root[each.key].id
  }

  dynamic "disk" {
    for_each = each.key == local.names[0] ? libvirt_volume.data : []
    content {
      volume_id = disk.value.id
    }
  }

  # By its name, the provider makes a CD-ROM drive of it.
  disk {
    file = libvirt_volume.first_boot[each.key].id
  }

  network_interface {
    network_id = libvirt_network.nodes.id
    hostname   = each.key
    addresses  = [each.value.address]
    mac        = each.value.mac
  }

  console {
    type        = "pty"
    target_type = "serial"
    target_port = "0"
  }

  lifecycle {
    # The provider reads them from the leases, and finds none until the guest has asked for its own.
    ignore_changes = [network_interface[0].addresses]
  }
}
