output "nodes" {
  description = "The machines in their order, as every environment gives them."
  value = [
    for index, name in local.names : {
      name          = name
      address       = local.nodes[name].address
      login_address = index == 0 ? openstack_networking_floatingip_v2.first.address : local.nodes[name].address
      jump          = index == 0 ? null : local.first
      # A virtio disk is known by the first twenty characters of the volume's id, whatever letter it gets.
      data_device = index == 0 ? "/dev/disk/by-id/virtio-${substr(data.openstack_blockstorage_volume_v3.data.id, 0, 20)}" : null
    }
  ]
  depends_on = [
    openstack_compute_instance_v2.node,
    openstack_compute_volume_attach_v2.data,
    openstack_networking_floatingip_associate_v2.first,
  ]
}

output "public_address" {
  description = "The floating address of node1."
  value       = openstack_networking_floatingip_v2.first.address
}

output "external_addresses" {
  description = "Addresses of node1 at which traffic arrives: the floating address is translated before it comes in."
  value       = [openstack_networking_port_v2.external[local.first].all_fixed_ips[0], local.nodes[local.first].address]
}
