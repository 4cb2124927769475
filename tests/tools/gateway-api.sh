#!/usr/bin/env bash
# Print the folder of the Gateway API's definitions, brought by the Go client and checked with the sums that are pinned.
set -euo pipefail
cd "$(dirname "$0")/../cluster/components/gateway-api"
if ! command -v go >/dev/null; then
  echo "the definitions of the Gateway API are in a Go module: install Go" >&2
  exit 1
fi
go mod download sigs.k8s.io/gateway-api >&2
echo "$(go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd/standard"
