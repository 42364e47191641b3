"""The trainer's engine on a CUDA device: tokens per second, and the share of the device's peak FLOPS.

A Llama with 1.1 billion random weights in bf16, ZeRO stage 2, batches of 16 rows of 1,024 tokens, half of them
response, micro-batches of 4. A step's floating point operations are 6 per parameter and token plus, for attention, 6
per layer, width and token times the row's length (causal: half of all pairs). One process, no broker: reading runs
ahead of the steps and is measured by `trainer`.
"""

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console

from consumers.trainer.distributed.process_group import join_process_group
from consumers.trainer.engine.deepspeed_setup import EngineConfig
from consumers.trainer.engine.step import Engine
from consumers.trainer.record.output_capture import capture_output
from infra.models.device import pick_device
from infra.models.templates import EncodedRow

STEPS, WARM_UP, ROWS, LENGTH, PER_PASS = 20, 5, 16, 1024, 4
# The vendor's peak dense bf16 FLOPS, by a part of the device's name.
PEAKS = {"H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12}
_SHAPE = {
    "vocab_size": 32_000,
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_hidden_layers": 22,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
}


@dataclass(frozen=True)
class OnGpu:
    """`peak_share` is None for a device with unknown peak."""

    device: str
    parameters: int
    tokens_per_s: float
    step_s: float
    tflops: float
    peak_share: float | None
    peak_gib: float
    losses: list[float | None]


def measure() -> OnGpu:
    """Train a few steps. Raises ConfigurationError without a CUDA device."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    device = pick_device("cuda")
    torch.manual_seed(0)
    with torch.device("cuda"):
        model = LlamaForCausalLM(LlamaConfig(**_SHAPE)).to(torch.bfloat16).train()
    model.config.use_cache = False
    parameters = sum(weight.numel() for weight in model.parameters())
    with tempfile.TemporaryDirectory() as folder:
        log_file = Path(folder) / "log"
        with capture_output(log_file):
            engine = Engine(
                model,
                EngineConfig(
                    precision="bf16",
                    device=device,
                    zero_stage=2,
                    weight_decay=0.0,
                    clip=1.0,
                    micro_batch=PER_PASS,
                    pad_token=0,
                    log_file=log_file,
                ),
                group=join_process_group(device),
            )
        rows = torch.randint(1, _SHAPE["vocab_size"], (STEPS, ROWS, LENGTH), device="cpu").tolist()
        steps = [engine.step([EncodedRow(tuple(row), LENGTH // 2, False) for row in batch], 1e-4) for batch in rows]
        engine.close()
    seconds = median(step.seconds for step in steps[WARM_UP:])
    tokens = ROWS * LENGTH
    attention = 6 * _SHAPE["num_hidden_layers"] * _SHAPE["hidden_size"] * LENGTH
    flops = tokens * (6 * parameters + attention) / seconds
    name = torch.cuda.get_device_name()
    peak = next((peak for part, peak in PEAKS.items() if part in name), None)
    return OnGpu(
        device=name,
        parameters=parameters,
        tokens_per_s=tokens / seconds,
        step_s=seconds,
        tflops=flops / 1e12,
        peak_share=None if peak is None else flops / peak,
        peak_gib=steps[-1].memory_bytes / 2**30,
        losses=[step.loss for step in steps],
    )


def show(console: Console, found: OnGpu) -> None:
    """The figures as text."""
    share = "peak not known" if found.peak_share is None else f"{found.peak_share:.1%} of its peak"
    console.print(
        f"{found.device}: {found.parameters / 1e9:.2f} billion parameters, bf16, ZeRO-2: {found.tokens_per_s:,.0f} "
        f"tokens/s, {found.tflops:,.0f} TFLOP/s ({share}), {found.peak_gib:.1f} GiB at the most"
    )


def write_json(path: Path, found: OnGpu) -> None:
    """All results."""
    path.write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
