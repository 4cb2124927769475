locals {
  names = [for index in range(var.node_count) : "node${index + 1}"]
  nodes = {
    for index, name in local.names : name => { address = cidrhost(var.private_cidr, 11 + index) }
  }
  first = local.names[0]
  tags  = ["rookery", "rookery-site-${terraform_data.site.id}"]
}

# The identity of this state: it is a tag of all that this state makes, so machines of a lost state can be told apart.
resource "terraform_data" "site" {}

data "openstack_networking_port_ids_v2" "named" {
  for_each = local.nodes

  name = "${each.key}-private-${var.suffix}"
}

data "openstack_networking_port_ids_v2" "own" {
  for_each = local.nodes

  name = "${each.key}-private-${var.suffix}"
  tags = ["rookery-site-${terraform_data.site.id}"]
}

resource "terraform_data" "no_strangers" {
  for_each = local.nodes

  lifecycle {
    precondition {
      condition = length(setsubtract(
        data.openstack_networking_port_ids_v2.named[each.key].ids,
        data.openstack_networking_port_ids_v2.own[each.key].ids,
      )) == 0
      error_message = "${each.key}-${var.suffix} exists already, and this state does not know it: a state was lost, or the suffix is somebody else's. Nothing is made twice; see docs/how-to/openstack.md, \"When the state is lost\"."
    }
  }
}

data "openstack_networking_network_v2" "external" {
  name = var.external_network
}

data "openstack_images_image_v2" "node" {
  name        = var.image
  most_recent = true
}

data "openstack_blockstorage_volume_v3" "data" {
  name = var.data_volume
}
