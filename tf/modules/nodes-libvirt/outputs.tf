output "nodes" {
  description = "The machines in their order, as every environment gives them."
  value = [
    for index, name in local.names : {
      name          = name
      address       = local.nodes[name].address
      login_address = local.nodes[name].address
      jump          = null
      data_device   = index == 0 && var.data_gib > 0 ? "/dev/vdb" : null
    }
  ]
  depends_on = [libvirt_domain.node]
}

output "external_addresses" {
  description = "Addresses of node1 at which the platform's ports are reached."
  value       = [local.nodes[local.names[0]].address]
}
