module "nodes" {
  source = "../../modules/nodes-libvirt"

  name            = var.name
  node_count      = var.node_count
  cidr            = var.cidr
  base_image      = var.base_image
  direct_kernel   = var.direct_kernel
  pool_path       = coalesce(var.pool_path, "/var/lib/libvirt/images/${var.name}")
  vcpus           = var.vcpus
  memory_mib      = var.memory_mib
  disk_gib        = var.disk_gib
  data_gib        = var.data_gib
  domain_type     = var.domain_type
  user            = var.user
  ssh_public_keys = var.ssh_public_keys
}
