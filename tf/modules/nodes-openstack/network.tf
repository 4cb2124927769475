locals {
  platform_ports = [80, 3000, 4000, 5000, 8000, 8080, 8081, 9001]
  openings = merge(
    { for source in var.ssh_sources : "22 from ${source}" => { port = 22, source = source } },
    {
      for pair in setproduct(local.platform_ports, var.platform_sources) :
      "${pair[0]} from ${pair[1]}" => { port = pair[0], source = pair[1] }
    },
  )
}

resource "openstack_networking_network_v2" "private" {
  name = "private-${var.suffix}"
  tags = local.tags
  # Pods' addresses cross it, which port security would drop; nothing but the machines is on it.
  port_security_enabled = false
  depends_on            = [terraform_data.no_strangers]
}

resource "openstack_networking_subnet_v2" "private" {
  name       = "private-${var.suffix}"
  tags       = local.tags
  network_id = openstack_networking_network_v2.private.id
  cidr       = var.private_cidr
  ip_version = 4
  # The way out is the shared network.
  no_gateway = true
}

resource "openstack_networking_secgroup_v2" "nodes" {
  name        = "rookery-${var.suffix}"
  description = "SSH and the platform's ports, from stated sources only"
  tags        = local.tags
  depends_on  = [terraform_data.no_strangers]
}

resource "openstack_networking_secgroup_rule_v2" "opening" {
  for_each = local.openings

  description       = each.key
  security_group_id = openstack_networking_secgroup_v2.nodes.id
  direction         = "ingress"
  ethertype         = strcontains(each.value.source, ":") ? "IPv6" : "IPv4"
  protocol          = "tcp"
  port_range_min    = each.value.port
  port_range_max    = each.value.port
  remote_ip_prefix  = each.value.source
}

resource "openstack_networking_port_v2" "private" {
  for_each = local.nodes

  name                  = "${each.key}-private-${var.suffix}"
  tags                  = local.tags
  network_id            = openstack_networking_network_v2.private.id
  admin_state_up        = true
  port_security_enabled = false
  no_security_groups    = true

  fixed_ip {
    subnet_id  = openstack_networking_subnet_v2.private.id
    ip_address = each.value.address
  }
}

resource "openstack_networking_port_v2" "external" {
  for_each = local.nodes

  name               = "${each.key}-external-${var.suffix}"
  tags               = local.tags
  network_id         = data.openstack_networking_network_v2.external.id
  admin_state_up     = true
  security_group_ids = [openstack_networking_secgroup_v2.nodes.id]
  depends_on         = [terraform_data.no_strangers]
}

resource "openstack_networking_floatingip_v2" "first" {
  pool        = var.floating_ip_pool
  description = "rookery ${local.first}-${var.suffix}"
  tags        = local.tags
  depends_on  = [terraform_data.no_strangers]
}

resource "openstack_networking_floatingip_associate_v2" "first" {
  floating_ip = openstack_networking_floatingip_v2.first.address
  port_id     = openstack_networking_port_v2.external[local.first].id
}
