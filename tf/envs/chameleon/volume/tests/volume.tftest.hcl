mock_provider "openstack" {}

run "one_volume_named_by_the_suffix" {
  command = plan
  variables {
    suffix     = "ada"
    volume_gib = 50
  }
  assert {
    condition     = openstack_blockstorage_volume_v3.data.name == "rookery-data-ada" && openstack_blockstorage_volume_v3.data.size == 50
    error_message = "name and size of the volume"
  }
}
