#!/usr/bin/env bash
# Print the path of kustomize; built once by the Go client into .cache/bin when there is none on the path.
set -euo pipefail
version=v5.8.1
if command -v kustomize; then
  exit 0
fi
folder="$(cd "$(dirname "$0")/../.." && pwd)/.cache/bin"
mkdir -p "$folder"
exec 9>"$folder/.kustomize-lock"
flock 9
if [ ! -x "$folder/kustomize" ]; then
  if ! command -v go >/dev/null; then
    echo "kustomize $version is needed to build the overlays: put it on the path, or install Go" >&2
    exit 1
  fi
  GOBIN="$folder" GOFLAGS=-mod=mod go install "sigs.k8s.io/kustomize/kustomize/v5@$version" >&2
fi
echo "$folder/kustomize"
