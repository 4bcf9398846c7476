#!/usr/bin/env bash
# Measure this project on a GPU: ceilings of the card, extraction of hidden states with a 7B LLaVA-1.5 (random weights,
# bfloat16), where its time goes, whole runs, attention knockout, CUDA graphs, the tests that need a GPU, probes, and 8
# and 4 bits.
#
#     bash benchmarks/gpu.sh                         under 9 minutes, needs a GPU with 80 GB
#     bash benchmarks/gpu.sh --small                 tries the whole program on tiny shapes without a GPU, in a minute
#     bash benchmarks/gpu.sh --only extraction       one section, and those named after it
#
# OUT_DIR is the folder of the results (default results-gpu), PYTHON the Python that runs it (default python3). It needs
# the packages of envs/requirements.txt, and bitsandbytes for 8 and 4 bits, but no network. Results are written as they
# come: results.md has the tables, results.jsonl all numbers, tests.txt pytest's output, log.txt warnings and errors.
# A section that fails or takes too long is named in its place, and the others go on. Exit status 1 if any failed.
#
# Times are wall times from one synchronisation of the device to the next. Ways take turns, the first round only warms
# up, and each number is a median.
set -u
here=$(cd "$(dirname "$0")" && pwd)
export PYTHONPATH="$here:$here/../scripts${PYTHONPATH:+:$PYTHONPATH}"
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONUNBUFFERED=1
exec "${PYTHON:-python3}" -m gpu "$@"
