#!/usr/bin/env bash
# status.sh ID: print running, success or failed.
set -euo pipefail
process=${1%%:*} log=${1#*:}
if kill -0 "$process" 2>/dev/null; then
	echo running
elif [ "$(cat "$log.status" 2>/dev/null)" = 0 ]; then
	echo success
else
	echo failed
fi
