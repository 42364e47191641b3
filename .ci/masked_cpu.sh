#!/bin/sh
# Runs a command as an AVX2 processor would compute it: torch's kernels, oneDNN and MKL use no newer instructions.
#   .ci/masked_cpu.sh .venv/bin/python -m infra.models.precision
exec env ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 "$@"
