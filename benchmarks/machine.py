"""The machine that a measurement ran on, as its results name it."""

import os
import platform
from pathlib import Path

_NEWER = ("avx512f", "avx512_bf16", "avx512_vnni", "amx_tile")
_MASKS = (
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
    "OPENBLAS_CORETYPE",
)


def machine() -> dict[str, object]:
    """The processor, its cores, what it has beyond AVX2, and which of that the environment masks."""
    model, flags = _processor()
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "beyond_avx2": [name for name in _NEWER if name in flags],
        "masked": {name: os.environ[name] for name in _MASKS if name in os.environ},
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }


def machine_line() -> str:
    """The same as a line for people."""
    found = machine()
    beyond, masked = found["beyond_avx2"], found["masked"]
    newer = f"has {', '.join(map(str, beyond))}" if isinstance(beyond, list) and beyond else "nothing beyond AVX2"
    hidden = f"masked: {', '.join(masked)}" if isinstance(masked, dict) and masked else "nothing masked"
    return f"{found['processor']}, {found['cores']} cores, {newer}, {hidden}, load {found['load']}"


def _processor() -> tuple[str, set[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine(), set()
    fields = dict(line.split("\t: ", 1) if "\t: " in line else (line, "") for line in text.splitlines() if ":" in line)
    values = {name.strip(): value for name, value in fields.items()}
    return values.get("model name", platform.machine()), set(values.get("flags", "").split())
