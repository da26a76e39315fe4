#!/bin/bash
# As upstream's entrypoint: whatever the command is, it is one of minio's.
set -euo pipefail
if [ "${1:-}" != minio ]; then set -- minio "$@"; fi
exec "$@"
