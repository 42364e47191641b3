"""One rank of an engine test, in a process with a launcher's variables set.

For each kind of engine it trains its rows of two batches and writes what the steps measured to `<rank>.jsonl`.
"""

import gc
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from infra.models.templates import encode
from tests.unit.trainer import tiny

KINDS: list[dict[str, Any]] = [
    {"zero_stage": 0, "micro_batch": 1},
    {"zero_stage": 2, "micro_batch": 1},
    {"zero_stage": 3, "micro_batch": 1},
    {"zero_stage": 1, "micro_batch": 2, "precision": "bf16"},
]
# Rows of each rank in each batch: they differ in number, and one rank has none in the last.
BATCHES = [([0, 1, 2], [3]), ([4, 5], [])]
CLIP = 0.5


def row(number: int) -> Any:
    return encode(tiny.kept(number, 0), tiny.tokenizer(), "chat", 96)


def main(folder: Path) -> None:
    os.environ["DS_ACCELERATOR"] = "cpu"
    import torch

    from consumers.trainer.distributed.process_group import join_process_group
    from consumers.trainer.engine.deepspeed_setup import EngineConfig
    from consumers.trainer.engine.step import Engine

    torch.set_num_threads(1)
    gc.freeze()  # DeepSpeed collects garbage many times when a bf16 engine starts
    group = join_process_group("cpu")
    measured: list[dict[str, Any]] = []
    for kind in KINDS:
        settings = {"precision": "fp32", **kind}
        model = tiny.model().to(torch.bfloat16 if settings["precision"] == "bf16" else torch.float32)
        engine = Engine(
            model,
            EngineConfig(
                device="cpu",
                weight_decay=0.0,
                clip=CLIP,
                pad_token=257,
                log_file=folder / f"rank-{group.rank}.log",
                **settings,
            ),
            group=group,
        )
        for batch in BATCHES:
            numbers = engine.step([row(number) for number in batch[group.rank]], 1e-2)
            measured.append(asdict(numbers))
        engine.close()
    (folder / f"{group.rank}.jsonl").write_bytes(b"".join(msgspec.json.encode(step) + b"\n" for step in measured))
