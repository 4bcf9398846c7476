#!/usr/bin/env bash
# cancel.sh ID...: end these jobs and all processes that they started.
set -euo pipefail
for id in "$@"; do
	kill -- "-${id%%:*}" || true
done
