#!/usr/bin/env bash
# Print the path of tflint, built once from its pinned Go module where it is missing (four minutes, most of it downloads).
set -euo pipefail
version=v0.55.1
folder=${ROOKERY_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/rookery}/terraform
mkdir -p "$folder"
exec 9>"$folder/.tflint-lock"
flock 9
if [ ! -x "$folder/tflint-$version" ]; then
  if ! command -v go >/dev/null; then
    echo "there is no tflint $version in $folder, and no Go (1.24 or newer) to build it" >&2
    exit 1
  fi
  echo "Building tflint $version" >&2
  build=$(mktemp -d)
  trap 'rm -rf "$build"' EXIT
  cd "$build"
  module=github.com/terraform-linters/tflint
  printf 'module tflint-build\n\ngo 1.24\n\ntool %s\n\nrequire %s %s\n' "$module" "$module" "$version" >go.mod
  GOBIN=$build/bin CGO_ENABLED=0 GOFLAGS='-mod=mod -buildvcs=false' go install -trimpath -ldflags='-s -w' tool >&2
  mv bin/tflint "$folder/tflint-$version"
fi
echo "$folder/tflint-$version"
