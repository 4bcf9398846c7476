#!/usr/bin/env bash
# status.sh ID: print running, success or failed.
set -euo pipefail
process=${1%%:*} log=${1#*:}
ended_with() { cat "$log.status" 2>/dev/null || true; }
# An ended process is listed as Z until its parent reads its status. In a container that may never happen.
alive() { ps -o stat= -p "$process" | grep -qv '^Z'; }
if [ -z "$(ended_with)" ] && alive; then
	echo running
elif [ "$(ended_with)" = 0 ]; then
	echo success
else
	echo failed
fi
