variable "name" {
  description = "Name of the network and the pool, and prefix of everything else."
  type        = string
}

variable "node_count" {
  description = "How many machines; the first is the control plane."
  type        = number
}

variable "cidr" {
  description = "IPv4 network of the machines; node1 gets its eleventh address, node2 the twelfth, and so on."
  type        = string
}

variable "base_image" {
  description = "Path or address of a qcow2 image with cloud-init and sshd."
  type        = string
}

variable "direct_kernel" {
  description = "Kernel, initrd and arguments for an image without a boot loader; null boots the image itself."
  type = object({
    kernel    = string
    initrd    = string
    arguments = map(string)
    flags     = optional(string, "")
  })
}

variable "pool_path" {
  description = "Folder of the machines' disks."
  type        = string
}

variable "vcpus" {
  description = "Processors of each machine."
  type        = number
}

variable "memory_mib" {
  description = "Memory of each machine in MiB."
  type        = number
}

variable "disk_gib" {
  description = "Root disk of each machine in GiB; it grows as it is written."
  type        = number
}

variable "data_gib" {
  description = "Second disk of node1 for the platform's data in GiB; 0 leaves it out."
  type        = number
}

variable "domain_type" {
  description = "kvm, or qemu for software emulation."
  type        = string
}

variable "user" {
  description = "Login that cloud-init makes; becomes root without a password."
  type        = string
}

variable "ssh_public_keys" {
  description = "Public keys that may log in."
  type        = list(string)
}
