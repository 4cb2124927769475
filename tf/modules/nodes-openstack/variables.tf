variable "suffix" {
  description = "End of every name, so that several people can share a project."
  type        = string
}

variable "key_pair" {
  description = "Name of a key pair that OpenStack knows."
  type        = string
}

variable "node_count" {
  description = "How many machines; the first is the control plane."
  type        = number
}

variable "image" {
  description = "Name of the image."
  type        = string
}

variable "flavor" {
  description = "Name of the flavor; not looked at when flavor_id is given."
  type        = string
}

variable "flavor_id" {
  description = "Id of the flavor, such as one from a reservation; null takes the name."
  type        = string
}

variable "private_cidr" {
  description = "IPv4 network among the machines; node1 gets its eleventh address, node2 the twelfth, and so on."
  type        = string
}

variable "external_network" {
  description = "Name of the shared network that leads out."
  type        = string
}

variable "floating_ip_pool" {
  description = "Name of the pool of public addresses."
  type        = string
}

variable "ssh_sources" {
  description = "Networks that may reach port 22."
  type        = list(string)
}

variable "platform_sources" {
  description = "Networks that may reach the platform's ports."
  type        = list(string)
}

variable "data_volume" {
  description = "Name of the volume that is attached to node1."
  type        = string
}
