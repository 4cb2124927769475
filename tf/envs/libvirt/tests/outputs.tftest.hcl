mock_provider "libvirt" {}

variables {
  base_image      = "https://images.example.org/debian-12.qcow2"
  ssh_public_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbc someone"]
}

run "three_machines_by_default" {
  assert {
    condition = jsonencode(output.nodes) == jsonencode([
      { name = "node1", address = "192.168.100.11", login_address = "192.168.100.11", jump = null, data_device = "/dev/vdb" },
      { name = "node2", address = "192.168.100.12", login_address = "192.168.100.12", jump = null, data_device = null },
      { name = "node3", address = "192.168.100.13", login_address = "192.168.100.13", jump = null, data_device = null },
    ])
    error_message = "names, addresses and the data disk of the machines"
  }
  assert {
    condition = jsonencode(output.site) == jsonencode({
      user               = "debian"
      private_network    = "192.168.100.0/24"
      public_address     = "192.168.100.11"
      external_addresses = ["192.168.100.11"]
    })
    error_message = "what all machines have in common"
  }
}

run "as_many_as_are_wanted_where_they_are_wanted" {
  variables {
    node_count = 5
    cidr       = "10.0.0.0/24"
    data_gib   = 0
    user       = "operator"
  }
  assert {
    condition     = [for node in output.nodes : node.address] == ["10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14", "10.0.0.15"]
    error_message = "addresses of five machines"
  }
  assert {
    condition     = output.site.user == "operator" && output.nodes[0].data_device == null
    error_message = "the login, and no data disk"
  }
}
