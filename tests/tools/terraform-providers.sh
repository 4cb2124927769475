#!/usr/bin/env bash
# Print the path of a Terraform CLI configuration whose providers come from a folder, and from nowhere else.
# They are built from pinned Go modules where they are missing: one to two minutes, once for each machine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${ROOKERY_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/rookery}/terraform
mkdir -p "$folder"
exec 9>"$folder/.lock"
flock 9

provider() {
  local namespace=$1 type=$2 version=$3 platform target
  platform=$(uname -s | tr '[:upper:]' '[:lower:]')_$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
  target=$folder/mirror/registry.terraform.io/$namespace/$type/$version/$platform/terraform-provider-${type}_v$version
  [ -x "$target" ] && return
  if ! command -v go >/dev/null; then
    echo "Terraform's provider $type $version is missing in $folder/mirror, and there is no Go (1.24 or newer) to build it" >&2
    exit 1
  fi
  echo "Building Terraform's provider $type $version" >&2
  local build
  build=$(mktemp -d)
  cp "$here/terraform/$type/go.mod" "$here/terraform/$type/go.sum" "$build/"
  # Not `go install module@version`: that asks the proxy for a list of versions, which not every proxy has.
  (cd "$build" && GOBIN=$build/bin CGO_ENABLED=0 GOFLAGS='-mod=readonly -buildvcs=false' \
    go install -trimpath -ldflags='-s -w' tool) >&2
  mkdir -p "$(dirname "$target")"
  mv "$build/bin/terraform-provider-$type" "$target"
  rm -rf "$build"
}

provider dmacvicar libvirt 0.8.3
provider terraform-provider-openstack openstack 1.54.1
# Another test's Terraform may read it now, and without it would ask the registry.
cat >"$folder/cli.tfrc.new" <<CONFIG
disable_checkpoint = true
provider_installation {
  filesystem_mirror {
    path = "$folder/mirror"
  }
}
CONFIG
mv "$folder/cli.tfrc.new" "$folder/cli.tfrc"
echo "$folder/cli.tfrc"
