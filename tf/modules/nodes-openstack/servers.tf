resource "openstack_compute_instance_v2" "node" {
  for_each = local.nodes

  name         = "${each.key}-${var.suffix}"
  image_id     = data.openstack_images_image_v2.node.id
  flavor_name  = var.flavor_id == null ? var.flavor : null
  flavor_id    = var.flavor_id
  key_pair     = var.key_pair
  config_drive = true
  user_data    = "#cloud-config\nhostname: ${each.key}\nmanage_etc_hosts: true\n"

  # The first has the default route.
  network {
    port = openstack_networking_port_v2.external[each.key].id
  }

  network {
    port = openstack_networking_port_v2.private[each.key].id
  }

  lifecycle {
    # A newer image of the same name is no reason to make the machines anew.
    ignore_changes = [image_id]
  }
}

resource "openstack_compute_volume_attach_v2" "data" {
  instance_id = openstack_compute_instance_v2.node[local.first].id
  volume_id   = data.openstack_blockstorage_volume_v3.data.id
}
