module "nodes" {
  source = "../../modules/nodes-openstack"

  suffix           = var.suffix
  key_pair         = var.key_pair
  node_count       = var.node_count
  image            = var.image
  flavor           = var.flavor
  flavor_id        = var.flavor_id
  private_cidr     = var.private_cidr
  external_network = var.external_network
  floating_ip_pool = var.floating_ip_pool
  ssh_sources      = var.ssh_sources
  platform_sources = var.platform_sources
  data_volume      = "rookery-data-${var.suffix}"
}
