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
  description = "The same as of the machines: the volume is rookery-data-<suffix>."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", var.suffix))
    error_message = "suffix must be 1 to 20 lower-case letters, digits and inner hyphens."
  }
}

variable "volume_gib" {
  description = "Size of the volume for PostgreSQL and MinIO in GiB; it can grow later."
  type        = number
  default     = 20

  validation {
    condition     = floor(var.volume_gib) == var.volume_gib && var.volume_gib >= 1 && var.volume_gib <= 2048
    error_message = "volume_gib must be a whole number of GiB from 1 to 2048."
  }
}

variable "adopt" {
  description = "Takes the volume of this name, which exists already, into this state instead of making one."
  type        = bool
  default     = false
}
