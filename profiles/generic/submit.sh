#!/usr/bin/env bash
# submit.sh GPUS MEMORY_MB MINUTES THREADS SCRIPT: start a job's script and print the job's id.
#
# As shipped, it runs the script in the background of this machine and ends it after its time; it ignores the other requests.
# For a scheduler, replace the last lines with its own command. For LSF, for instance:
#   gpus=(); [ "$1" = 0 ] || gpus=(-gpu "num=$1")
#   bsub -n "$4" -R "rusage[mem=$2MB]" -W "$3" "${gpus[@]}" bash "$5" | grep -oE '[0-9]+' | head -1
set -euo pipefail
jobs=.snakemake/generic
mkdir -p "$jobs"
log=$(mktemp "$jobs/XXXXXX")
# `timeout` leads the process group, so that its time limit and cancel.sh end everything that the job started. status.sh
# reads the exit status.
setsid timeout --kill-after=30 "$3m" bash -c 'bash "$1"; echo $? >"$2.status"' job "$5" "$log" >"$log" 2>&1 </dev/null &
echo "$!:$log"
