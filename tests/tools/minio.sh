#!/bin/sh
# Prints the path of a MinIO server, built from its pinned Go module where it is missing (one to two minutes).
set -eu
version=v0.0.0-20260212201848-7aac2a2c5b7c
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=${ROOKERY_TOOLS:-$root/.cache/bin}
mkdir -p "$folder"
exec 9>"$folder/.minio-lock"
flock 9
if [ ! -x "$folder/minio" ]; then
    if ! command -v go >/dev/null 2>&1; then
        echo "no MinIO server in $folder and no Go to build it: install Go 1.24 or newer, or put minio there" >&2
        exit 1
    fi
    GOBIN=$folder CGO_ENABLED=0 GOFLAGS=-buildvcs=false go install "github.com/minio/minio@$version" >&2
fi
echo "$folder/minio"
