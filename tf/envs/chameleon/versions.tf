terraform {
  required_version = ">= 1.9"
  required_providers {
    openstack = {
      source  = "terraform-provider-openstack/openstack"
      version = "1.54.1"
    }
  }
}

# Credentials come from clouds.yaml or OS_* variables and are nowhere in here.
provider "openstack" {
  cloud = var.cloud
}
