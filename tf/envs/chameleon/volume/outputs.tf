output "volume" {
  description = "The volume, by which the machines find it."
  value       = { id = openstack_blockstorage_volume_v3.data.id, name = openstack_blockstorage_volume_v3.data.name }
}
