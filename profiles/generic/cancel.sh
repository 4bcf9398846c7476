#!/usr/bin/env bash
# cancel.sh ID...: end jobs with all that they started.
set -euo pipefail
for id in "$@"; do
	kill -- "-${id%%:*}" || true
done
