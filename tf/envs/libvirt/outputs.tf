output "nodes" {
  description = "The machines: name, address among themselves, address to log in at, the machine to jump over, data disk."
  value       = module.nodes.nodes
}

output "site" {
  description = "What all machines have in common."
  value = {
    user               = var.user
    private_network    = var.cidr
    public_address     = module.nodes.external_addresses[0]
    external_addresses = module.nodes.external_addresses
  }
}
