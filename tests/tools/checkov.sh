#!/usr/bin/env bash
# Print the path of checkov, in an environment of its own: its pins and ours do not go together.
set -euo pipefail
cd "$(dirname "$0")/../.."
lock=requirements/checkov.lock
stamp=$(sha256sum "$lock" | cut -c1-16)
mkdir -p .cache
exec 9>.cache/checkov.lock
flock 9
if [ "$(cat .cache/checkov/rookery-stamp 2>/dev/null || true)" != "$stamp" ]; then
  uv=.cache/uv/bin/uv
  if [ ! -x "$uv" ]; then
    echo "there is no $uv: run make setup" >&2
    exit 1
  fi
  export UV_PYTHON_DOWNLOADS=never
  "$uv" venv --quiet --clear --python .venv/bin/python .cache/checkov >&2
  "$uv" pip install --quiet --require-hashes --python .cache/checkov/bin/python -r "$lock" >&2
  echo "$stamp" >.cache/checkov/rookery-stamp
fi
echo "$PWD/.cache/checkov/bin/checkov"
