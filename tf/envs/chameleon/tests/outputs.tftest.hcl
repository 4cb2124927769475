mock_provider "openstack" {
  mock_data "openstack_networking_port_ids_v2" {
    defaults = { ids = [] }
  }
  mock_data "openstack_blockstorage_volume_v3" {
    defaults = { id = "0f5b1c9e-2d3a-4b5c-8d9e-0a1b2c3d4e5f" }
  }
  mock_resource "openstack_networking_floatingip_v2" {
    defaults = { address = "203.0.113.10" }
  }
  mock_resource "openstack_networking_port_v2" {
    defaults = { all_fixed_ips = ["10.56.1.21"] }
  }
}

variables {
  suffix           = "ada"
  key_pair         = "laptop"
  image            = "Debian-12"
  ssh_sources      = ["198.51.100.7/32"]
  platform_sources = ["198.51.100.0/24", "2001:db8::/32"]
}

run "three_machines_with_one_public_address" {
  assert {
    condition = jsonencode(output.nodes) == jsonencode([
      { name = "node1", address = "192.168.1.11", login_address = "203.0.113.10", jump = null, data_device = "/dev/disk/by-id/virtio-0f5b1c9e-2d3a-4b5c-8" },
      { name = "node2", address = "192.168.1.12", login_address = "192.168.1.12", jump = "node1", data_device = null },
      { name = "node3", address = "192.168.1.13", login_address = "192.168.1.13", jump = "node1", data_device = null },
    ])
    error_message = "node1 is reached at the floating address, the others over it, and node1 has the volume"
  }
  assert {
    condition = jsonencode(output.site) == jsonencode({
      user               = "debian"
      private_network    = "192.168.1.0/24"
      public_address     = "203.0.113.10"
      external_addresses = ["10.56.1.21", "192.168.1.11"]
    })
    error_message = "traffic to the floating address arrives at the port's own"
  }
}

run "a_source_that_is_everybody_needs_to_be_meant" {
  variables {
    allow_any_source = true
    ssh_sources      = ["0.0.0.0/0", "::/0"]
    platform_sources = ["0.0.0.0/0"]
  }
  assert {
    condition     = length(output.nodes) == 3
    error_message = "what is meant is allowed"
  }
}
