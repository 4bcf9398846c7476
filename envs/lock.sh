#!/usr/bin/env bash
# Resolve the .in files to exact versions. The lock files have no addresses and no local version labels: a CPU-only wheel
# calls itself torch==X+cpu, which other registries do not know.
set -euo pipefail
cd "$(dirname "$0")"
bin=$(cd .. && cd "${VENV_BIN:?folder with pip-compile}" && pwd)
export CUSTOM_COMPILE_COMMAND="make lock"
for name in requirements requirements-dev legacy docs; do
	"$bin/pip-compile" --quiet --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--output-file "$name.txt" "$name.in"
	sed -i -E 's/^([a-z0-9._-]+==[^+ ]+)\+[a-z0-9.]+$/\1/' "$name.txt"
done
# The same packages for conda. Arguments: output file, environment name, lock file, Python version.
conda() {
	echo "name: $2"
	echo "channels: [conda-forge, nodefaults]"
	echo "dependencies:"
	echo "  - python=$4"
	echo "  - pip"
	echo "  - pip:"
	grep -E '^[a-z0-9]' "$3" | sed 's/^/      - /'
} >>"$1"
{
	echo "# The versions of requirements.txt for conda, made by \`make lock\`. Everything but Python comes from PyPI, so that both"
	echo "# ways of setting up give the same packages."
} >layerwise.yaml
conda layerwise.yaml layerwise requirements.txt 3.12
{
	echo "# The versions of legacy.txt for conda, made by \`make lock\`. No rule uses this file and it is untested: the workflow makes"
	echo "# a plain environment from legacy.txt. docs/paper-models.md says how to use a conda environment instead."
} >legacy.yaml
conda legacy.yaml layerwise-legacy legacy.txt 3.11
