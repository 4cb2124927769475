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

data "openstack_blockstorage_volume_v3" "existing" {
  count = var.adopt ? 1 : 0

  name = "rookery-data-${var.suffix}"
}

import {
  for_each = toset(data.openstack_blockstorage_volume_v3.existing[*].id)
  to       = openstack_blockstorage_volume_v3.data
  id       = each.value
}
