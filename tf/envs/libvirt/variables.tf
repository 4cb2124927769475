variable "name" {
  description = "Names the network and the pool; prefix of the machines' names."
  type        = string
  default     = "rookery"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,13}[a-z0-9]$", var.name))
    error_message = "name must be 2 to 15 lower-case letters, digits and hyphens, beginning with a letter: it names a bridge too."
  }
}

variable "libvirt_uri" {
  description = "Where libvirt listens."
  type        = string
  default     = "qemu:///system"

  validation {
    condition     = can(regex("^qemu(\\+[a-z]+)?://", var.libvirt_uri))
    error_message = "libvirt_uri must be a QEMU address, such as qemu:///system or qemu+ssh://user@host/system."
  }
}

variable "base_image" {
  description = "Whole path or https address of a qcow2 image with cloud-init and sshd, such as Debian's generic cloud image."
  type        = string

  validation {
    condition     = can(regex("^https?://", var.base_image)) || try(startswith(var.base_image, "/") && fileexists(var.base_image), false)
    error_message = "base_image must be an address, or the whole path, from / on, of a qcow2 file that exists."
  }
}

variable "ssh_public_keys" {
  description = "Public keys that may log in; they are all that the machines are told of keys."
  type        = list(string)

  validation {
    condition     = length(var.ssh_public_keys) > 0
    error_message = "ssh_public_keys needs one key at least, or nobody could log in."
  }

  validation {
    condition = alltrue([
      for key in var.ssh_public_keys :
      can(regex("^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp[0-9]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/=]+( [^\\n]*)?$", key))
    ])
    error_message = "ssh_public_keys must be lines of .pub files, such as \"ssh-ed25519 AAAA... name\"; a private key belongs nowhere in here."
  }
}

variable "user" {
  description = "Login that is made on the machines."
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

variable "cidr" {
  description = "IPv4 network of the machines; node1 to node3 are its addresses 11, 12 and 13."
  type        = string
  default     = "192.168.100.0/24"

  validation {
    condition     = can(regex("^[0-9.]+/(1[6-9]|2[0-7])$", var.cidr)) && can(cidrhost(var.cidr, 0)) && try(cidrhost(var.cidr, 0) == split("/", var.cidr)[0], false)
    error_message = "cidr must be an IPv4 network from /16 to /27 written with its first address, such as 192.168.100.0/24."
  }
}

variable "vcpus" {
  description = "Processors of each machine."
  type        = number
  default     = 2

  validation {
    condition     = floor(var.vcpus) == var.vcpus && var.vcpus >= 1 && var.vcpus <= 64
    error_message = "vcpus must be a whole number from 1 to 64."
  }
}

variable "memory_mib" {
  description = "Memory of each machine in MiB."
  type        = number
  default     = 4096

  validation {
    condition     = floor(var.memory_mib) == var.memory_mib && var.memory_mib >= 512 && var.memory_mib <= 1048576
    error_message = "memory_mib must be a whole number of MiB from 512 to 1048576; Kubernetes wants 2048 at least."
  }
}

variable "disk_gib" {
  description = "Root disk of each machine in GiB; it grows as it is written."
  type        = number
  default     = 40

  validation {
    condition     = floor(var.disk_gib) == var.disk_gib && var.disk_gib >= 4 && var.disk_gib <= 4096
    error_message = "disk_gib must be a whole number of GiB from 4 to 4096."
  }
}

variable "data_gib" {
  description = "Second disk of node1, for PostgreSQL and MinIO, in GiB; 0 leaves it out. It goes when the machines go."
  type        = number
  default     = 20

  validation {
    condition     = floor(var.data_gib) == var.data_gib && var.data_gib >= 0 && var.data_gib <= 4096
    error_message = "data_gib must be a whole number of GiB from 0 to 4096."
  }
}

variable "domain_type" {
  description = "kvm; or qemu, software emulation, where the processor cannot virtualise (slower by far)."
  type        = string
  default     = "kvm"

  validation {
    condition     = contains(["kvm", "qemu"], var.domain_type)
    error_message = "domain_type must be kvm or qemu."
  }
}

variable "pool_path" {
  description = "Folder of the machines' disks. Default: /var/lib/libvirt/images/<name>."
  type        = string
  default     = null

  validation {
    condition     = var.pool_path == null || can(regex("^/.+", var.pool_path))
    error_message = "pool_path must be an absolute path."
  }
}

variable "direct_kernel" {
  description = "Kernel, initrd and arguments, for an image without a boot loader. Default: the image boots itself."
  type = object({
    kernel    = string
    initrd    = string
    arguments = map(string)
    flags     = optional(string, "")
  })
  default = null

  validation {
    condition     = var.direct_kernel == null || try(alltrue([for path in [var.direct_kernel.kernel, var.direct_kernel.initrd] : startswith(path, "/") && fileexists(path)]), false)
    error_message = "direct_kernel must name a kernel and an initrd that exist, by their whole paths."
  }
}
