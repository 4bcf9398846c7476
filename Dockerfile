# An image with the workflow, the command `layerwise` and the pinned packages of envs/requirements.txt.
#
#   docker build --tag layerwise .
#   docker run --rm --volume "$PWD:/study" layerwise layerwise init my-study
#   docker run --rm --volume "$PWD/my-study:/study" layerwise \
#       sh -c 'snakemake --snakefile "$(layerwise where)" --cores all --configfile study.yaml'
#
# With a card, add `--gpus all` to `docker run`. Apptainer makes the same of the built image:
#   apptainer build layerwise.sif docker-daemon://layerwise:latest
FROM python:3.12-slim-bookworm

# As git and its certificates bring it: the code of models that run on their authors' code is cloned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/*

# First the packages, which change less often than the code. For a machine without a GPU, a third of the size:
#   docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu .
ARG TORCH_INDEX=
COPY envs/requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} --requirement /tmp/requirements.txt

COPY . /tmp/layerwise
RUN pip install --no-cache-dir --no-deps /tmp/layerwise && rm -rf /tmp/layerwise

# Files that a container writes into a mounted folder belong to its user: add `--user "$(id -u):$(id -g)"`.
ENV HOME=/tmp/home HF_HOME=/study/.cache/huggingface
RUN mkdir --mode=1777 /tmp/home /study
WORKDIR /study
CMD ["layerwise", "--help"]
