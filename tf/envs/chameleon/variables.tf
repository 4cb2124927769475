variable "cloud" {
  description = "Name of the entry in clouds.yaml; empty takes the OS_* variables of the environment."
  type        = string
  default     = "openstack"

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]*$", var.cloud))
    error_message = "cloud must be the name of an entry in clouds.yaml, or empty for the OS_* variables."
  }
}

variable "suffix" {
  description = "End of every name, such as your login, so that several people can share a project."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", var.suffix))
    error_message = "suffix must be 1 to 20 lower-case letters, digits and inner hyphens."
  }
}

variable "key_pair" {
  description = "Name of your key pair in OpenStack (`openstack keypair list`)."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9 ._@-]{1,255}$", var.key_pair))
    error_message = "key_pair must be the name of a key pair that OpenStack knows, not a key."
  }
}

variable "user" {
  description = "Login of the image."
  type        = string
  default     = "debian"

  validation {
    condition     = can(regex("^[a-z_][a-z0-9_-]{0,31}$", var.user)) && var.user != "root"
    error_message = "user must be a Linux login other than root: lower-case letters, digits, _ and -."
  }
}

variable "node_count" {
  description = "How many machines; node1 is the control plane."
  type        = number
  default     = 3

  validation {
    condition     = floor(var.node_count) == var.node_count && var.node_count >= 1 && var.node_count <= 9
    error_message = "node_count must be a whole number from 1 to 9."
  }
}

variable "image" {
  description = "Name of an image of Debian 12 with cloud-init."
  type        = string

  validation {
    condition     = length(trimspace(var.image)) > 0
    error_message = "image must be the name of an image (`openstack image list`)."
  }
}

variable "flavor" {
  description = "Name of the machines' flavor; 4 processors and 8 GiB each hold the whole platform."
  type        = string
  default     = "m1.large"

  validation {
    condition     = length(trimspace(var.flavor)) > 0
    error_message = "flavor must be the name of a flavor (`openstack flavor list`)."
  }
}

variable "flavor_id" {
  description = "Id of a flavor instead of its name, such as one that came with a reservation."
  type        = string
  default     = null

  validation {
    condition     = var.flavor_id == null || can(regex("^[A-Za-z0-9:_.-]{1,255}$", var.flavor_id))
    error_message = "flavor_id must be the id of a flavor (`openstack flavor list`), or be left out."
  }
}

variable "private_cidr" {
  description = "IPv4 network among the machines; node1 to node3 are its addresses 11, 12 and 13."
  type        = string
  default     = "192.168.1.0/24"

  validation {
    condition     = can(regex("^[0-9.]+/(1[6-9]|2[0-7])$", var.private_cidr)) && try(cidrhost(var.private_cidr, 0) == split("/", var.private_cidr)[0], false)
    error_message = "private_cidr must be an IPv4 network from /16 to /27 written with its first address, such as 192.168.1.0/24."
  }
}

variable "external_network" {
  description = "Name of the shared network that leads out."
  type        = string
  default     = "sharednet1"

  validation {
    condition     = length(trimspace(var.external_network)) > 0
    error_message = "external_network must be the name of a network (`openstack network list`)."
  }
}

variable "floating_ip_pool" {
  description = "Name of the network that floating addresses come from."
  type        = string
  default     = "public"

  validation {
    condition     = length(trimspace(var.floating_ip_pool)) > 0
    error_message = "floating_ip_pool must be the name of an external network (`openstack network list --external`)."
  }
}

variable "allow_any_source" {
  description = "Lets ssh_sources and platform_sources be wider than /8, the whole Internet included."
  type        = bool
  default     = false
}

variable "ssh_sources" {
  description = "Networks that may log in, such as [\"203.0.113.7/32\"]. Stated, never assumed."
  type        = list(string)

  validation {
    condition     = length(var.ssh_sources) > 0 && alltrue([for source in var.ssh_sources : can(cidrhost(source, 0))])
    error_message = "ssh_sources must be one or more networks, such as [\"203.0.113.7/32\"]."
  }

  validation {
    condition     = var.allow_any_source || alltrue([for source in var.ssh_sources : try(tonumber(split("/", source)[1]) >= 8, true)])
    error_message = "ssh_sources opens SSH to the Internet: name the networks you come from, or set allow_any_source = true if that is meant."
  }
}

variable "platform_sources" {
  description = "Networks that may reach the platform's ports. Stated, never assumed; [] opens none."
  type        = list(string)

  validation {
    condition     = alltrue([for source in var.platform_sources : can(cidrhost(source, 0))])
    error_message = "platform_sources must be networks, such as [\"203.0.113.0/24\"]."
  }

  validation {
    condition     = var.allow_any_source || alltrue([for source in var.platform_sources : try(tonumber(split("/", source)[1]) >= 8, true)])
    error_message = "platform_sources opens the platform to the Internet: name the networks of its users, or set allow_any_source = true if that is meant."
  }
}
