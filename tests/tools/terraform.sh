#!/usr/bin/env bash
# Print the path of Terraform: the one on the path if it is new enough, else one built from its pinned Go module (75 s).
# The built one has no backends for other people's clouds: their code is not in the module. Files and http work.
set -euo pipefail
version=1.11.4
if command -v terraform >/dev/null && CHECKPOINT_DISABLE=1 terraform version -json 2>/dev/null |
  grep -qE '"terraform_version": "(1\.(9|[1-9][0-9])|[2-9])\.'; then
  command -v terraform
  exit 0
fi
folder=${ROOKERY_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/rookery}/terraform
mkdir -p "$folder"
exec 9>"$folder/.lock"
flock 9
if [ ! -x "$folder/$version/terraform" ]; then
  if ! command -v go >/dev/null; then
    echo "Terraform 1.9 or newer is needed: put it on the path, or install Go 1.24 or newer to build $version" >&2
    exit 1
  fi
  echo "Building Terraform $version" >&2
  build=$(mktemp -d)
  trap 'rm -rf "$build"' EXIT
  cd "$build"
  # These are modules of their own beside Terraform's, without a published version.
  others=(azure consul cos gcs kubernetes oss pg s3)
  base=github.com/hashicorp/terraform/internal
  {
    printf 'module terraform-build\n\ngo 1.24\n\ntool github.com/hashicorp/terraform\n\n'
    printf 'require github.com/hashicorp/terraform v%s\n\nreplace %s/legacy => ./legacy\n' "$version" "$base"
    for name in "${others[@]}"; do printf 'replace %s/backend/remote-state/%s => ./%s\n' "$base" "$name" "$name"; done
  } >go.mod
  mkdir legacy
  printf 'module %s/legacy\n\ngo 1.24\n' "$base" >legacy/go.mod
  for name in "${others[@]}"; do
    mkdir "$name"
    printf 'module %s/backend/remote-state/%s\n\ngo 1.24\n' "$base" "$name" >"$name/go.mod"
    printf 'package %s\n\nimport "%s/backend"\n\n// New is not built in.\nfunc New() backend.Backend { panic("this build has no backend %s") }\n' \
      "$name" "$base" "$name" >"$name/backend.go"
  done
  GOBIN=$build/bin CGO_ENABLED=0 GOFLAGS='-mod=mod -buildvcs=false' \
    go install -trimpath -ldflags="-s -w -X github.com/hashicorp/terraform/version.dev=no" tool >&2
  mkdir -p "$folder/$version"
  mv bin/terraform "$folder/$version/terraform"
fi
echo "$folder/$version/terraform"
