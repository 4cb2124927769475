locals {
  names = [for index in range(var.node_count) : "node${index + 1}"]
  nodes = {
    for index, name in local.names : name => { address = cidrhost(var.private_cidr, 11 + index) }
  }
  first = local.names[0]
  # A machine is known by its ports: they can be looked up by name without an error when there is none.
  port_names = {
    for pair in setproduct(local.names, ["private", "external"]) :
    "${pair[0]} ${pair[1]}" => "${pair[0]}-${pair[1]}-${var.suffix}"
  }
  tags = ["rookery", "rookery-site-${terraform_data.site.id}"]
}

# The identity of this state: it is a tag of all that this state makes, so machines of a lost state can be told apart.
resource "terraform_data" "site" {}

data "openstack_networking_port_ids_v2" "named" {
  for_each = local.port_names

  name = each.value
}

data "openstack_networking_port_ids_v2" "own" {
  for_each = local.port_names

  name = each.value
  tags = ["rookery-site-${terraform_data.site.id}"]
}

resource "terraform_data" "no_strangers" {
  for_each = local.port_names

  lifecycle {
    precondition {
      condition = length(setsubtract(
        data.openstack_networking_port_ids_v2.named[each.key].ids,
        data.openstack_networking_port_ids_v2.own[each.key].ids,
      )) == 0
      error_message = "The port ${each.value} exists already, and this state does not know it: a state was lost, or the suffix is somebody else's. Nothing is made twice; see docs/how-to/openstack.md, \"When the state is lost\"."
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
