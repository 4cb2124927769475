output "nodes" {
  description = "The machines: name, address among themselves, address to log in at, the machine to jump over, data disk."
  value       = module.nodes.nodes
}

output "site" {
  description = "What all machines have in common."
  value = {
    user               = var.user
    private_network    = var.private_cidr
    public_address     = module.nodes.public_address
    external_addresses = module.nodes.external_addresses
  }
}
