#!/bin/sh
# Runs a command as an AVX2 processor would compute it: the kernels of torch, oneDNN, MKL, NumPy and OpenBLAS use no
# newer instructions.
#   .ci/masked_cpu.sh .venv/bin/python -m infra.models.precision
exec env ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 \
  NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR" OPENBLAS_CORETYPE=Haswell "$@"
