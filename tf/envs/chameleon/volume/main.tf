# The volume has a state of its own, so `terraform destroy` of the machines cannot take the data with them.
resource "openstack_blockstorage_volume_v3" "data" {
  name                 = "rookery-data-${var.suffix}"
  description          = "PostgreSQL and MinIO of the Rookery platform"
  size                 = var.volume_gib
  enable_online_resize = true

  lifecycle {
    prevent_destroy = true
  }
}

import {
  for_each = var.volume_id == null ? toset([]) : toset([var.volume_id])
  to       = openstack_blockstorage_volume_v3.data
  id       = each.value
}
