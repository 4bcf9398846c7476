#!/usr/bin/env bash
# Check the pinned packages for known vulnerabilities: `make audit`. A file that could not be checked fails, like a file with
# a vulnerability.
set -euo pipefail
cd "$(dirname "$0")"
found=$(mktemp) log=$(mktemp)
trap 'rm -f "$found" "$log"' EXIT
failed=0
for pins in *.txt; do
	: >"$found"
	if "$VENV_BIN/pip-audit" --strict --disable-pip --no-deps --progress-spinner off -o "$found" -r "$pins" 2>"$log"; then
		echo "envs/$pins: no known vulnerability"
	elif [ -s "$found" ]; then
		echo "envs/$pins: known vulnerabilities"
		cat "$found"
		failed=1
	else
		echo "error: envs/$pins was not audited, as the advisory service did not answer for all of it: $(tail -n 1 "$log")" >&2
		failed=1
	fi
done
exit "$failed"
