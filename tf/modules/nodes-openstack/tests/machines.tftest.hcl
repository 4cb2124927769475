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
  private_cidr     = "192.168.1.0/24"
  node_count       = 3
  flavor           = "m1.large"
  flavor_id        = null
  external_network = "sharednet1"
  floating_ip_pool = "public"
  data_volume      = "rookery-data-ada"
  suffix           = "ada"
  key_pair         = "laptop"
  image            = "Debian-12"
  ssh_sources      = ["198.51.100.7/32"]
  platform_sources = ["198.51.100.0/24", "2001:db8::/32"]
}

run "three_machines_named_by_the_suffix" {
  assert {
    condition     = { for name, server in openstack_compute_instance_v2.node : name => server.name } == { node1 = "node1-ada", node2 = "node2-ada", node3 = "node3-ada" }
    error_message = "names end in the suffix"
  }
  assert {
    condition     = alltrue([for server in openstack_compute_instance_v2.node : server.key_pair == "laptop" && server.flavor_name == "m1.large"])
    error_message = "key pair and flavor"
  }
  assert {
    condition     = alltrue([for name, server in openstack_compute_instance_v2.node : server.network[0].port == openstack_networking_port_v2.external[name].id && server.network[1].port == openstack_networking_port_v2.private[name].id])
    error_message = "the way out is the first port of each machine"
  }
  assert {
    condition     = openstack_networking_floatingip_associate_v2.first.floating_ip == "203.0.113.10" && openstack_networking_floatingip_associate_v2.first.port_id == openstack_networking_port_v2.external["node1"].id
    error_message = "the floating address is node1's"
  }
}

run "the_private_network_holds_the_machines_alone" {
  assert {
    condition     = openstack_networking_subnet_v2.private.cidr == "192.168.1.0/24" && openstack_networking_subnet_v2.private.no_gateway
    error_message = "the private network leads nowhere"
  }
  assert {
    condition     = { for name, port in openstack_networking_port_v2.private : name => one(port.fixed_ip).ip_address } == { node1 = "192.168.1.11", node2 = "192.168.1.12", node3 = "192.168.1.13" }
    error_message = "fixed addresses of the ports"
  }
}

run "security_groups_are_on_the_shared_network" {
  assert {
    condition     = alltrue([for port in openstack_networking_port_v2.external : length(port.security_group_ids) == 1])
    error_message = "each port on the shared network has the security group"
  }
  assert {
    condition     = sort([for rule in openstack_networking_secgroup_rule_v2.opening : format("%05d %s %s", rule.port_range_min, rule.ethertype, rule.remote_ip_prefix)]) == sort(concat(["00022 IPv4 198.51.100.7/32"], flatten([for port in [80, 3000, 4000, 5000, 8000, 8080, 8081, 9001] : [format("%05d IPv4 198.51.100.0/24", port), format("%05d IPv6 2001:db8::/32", port)]])))
    error_message = "SSH and the platform's ports are open to the stated sources and to nobody else"
  }
  assert {
    condition     = alltrue([for rule in openstack_networking_secgroup_rule_v2.opening : rule.direction == "ingress" && rule.protocol == "tcp" && rule.port_range_min == rule.port_range_max])
    error_message = "every rule opens one port"
  }
}

run "the_volume_is_at_node1" {
  assert {
    condition     = openstack_compute_volume_attach_v2.data.volume_id == "0f5b1c9e-2d3a-4b5c-8d9e-0a1b2c3d4e5f" && openstack_compute_volume_attach_v2.data.instance_id == openstack_compute_instance_v2.node["node1"].id
    error_message = "the volume is attached to node1"
  }
}

run "user_data_tells_a_name_and_no_secret" {
  assert {
    condition     = alltrue([for name, server in openstack_compute_instance_v2.node : yamldecode(server.user_data) == { hostname = name, manage_etc_hosts = true }])
    error_message = "user data is the host name and nothing else"
  }
}

run "machines_that_another_state_made_stop_everything" {
  command = plan
  override_data {
    target = data.openstack_networking_port_ids_v2.named
    values = { ids = ["9b2c7f50-1111-4222-8333-444455556666"] }
  }
  expect_failures = [terraform_data.no_strangers]
}

run "no_platform_source_opens_nothing_but_ssh" {
  variables {
    platform_sources = []
    flavor_id        = "reservation:5f1"
    node_count       = 1
  }
  assert {
    condition     = [for rule in openstack_networking_secgroup_rule_v2.opening : rule.port_range_min] == [22]
    error_message = "SSH alone is open"
  }
  assert {
    condition     = openstack_compute_instance_v2.node["node1"].flavor_id == "reservation:5f1"
    error_message = "a reserved flavor goes by its id"
  }
}
