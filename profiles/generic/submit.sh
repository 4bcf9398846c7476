#!/usr/bin/env bash
# submit.sh GPUS MEMORY_MB MINUTES THREADS SCRIPT: start a job's script and print the job's id.
#
# As it stands it starts the script in the background of this machine and ends it after its time, whatever it asked for. For a
# scheduler, let the last lines be its own command, for instance of LSF:
#   bsub -n "$4" -R "rusage[mem=$2MB]" -W "$3" ${1:+-gpu num=$1} "$5" | grep -oE '[0-9]+' | head -1
set -euo pipefail
jobs=.snakemake/generic
mkdir -p "$jobs"
log=$(mktemp "$jobs/XXXXXX")
# The exit status is what status.sh looks for.
setsid bash -c 'timeout "$1m" bash "$2"; echo $? >"$3.status"' job "$3" "$5" "$log" >"$log" 2>&1 </dev/null &
echo "$!:$log"
