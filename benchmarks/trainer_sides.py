"""One side of the trainer benchmark, in a separate process: `python -m benchmarks.trainer_sides SIDE JOB.json`.

Every side trains the same model on the same rows, in batches of 16 and the same order, on the response alone, with
AdamW, the same learning rate and clipping, on one thread; it records the time after every step and prints JSON.

sedi    `consumers.trainer.run.train` on a run's log: reads, batches, tokenises, trains, logs and writes metrics
torch   a plain loop: pad, forward, backward, clip, step
hf      transformers' Trainer with its collator for labelled sequences
trl     TRL's SFTTrainer, prompt and completion, loss on the completion
"""

import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from consumers.trainer.options import Precision
from schemas.events import InstructionKept


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of all sides. `rows` is a file of kept rows, one per line, in training order."""

    model: str
    rows: str
    run: str
    output: str
    batch_size: int
    steps: int
    precision: Precision
    learning_rate: float
    clip: float
    max_length: int


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """For each step: its end (s), CPU time so far (s), its loss, and its tokens without and with padding.

    peak_bytes   resident set at the last step
    around_s, waiting_s, step_s   `sedi` only: between steps, waiting for rows, in steps
    """

    ended: list[float]
    cpu: list[float]
    losses: list[float | None]
    tokens: list[int]
    fed: list[int]
    peak_bytes: int
    around_s: float | None = None
    waiting_s: float | None = None
    step_s: float | None = None


class Clock:
    """Records each step at its end."""

    def __init__(self) -> None:
        self.ended: list[float] = []
        self.cpu: list[float] = []
        self.losses: list[float | None] = []
        self.tokens: list[int] = []
        self.fed: list[int] = []
        self.peak_bytes = 0

    def note(self, loss: float | None = None, tokens: int | None = None, fed: int | None = None) -> None:
        self.ended.append(time.perf_counter())
        self.cpu.append(time.process_time())
        self.losses.append(loss)
        if tokens is not None and fed is not None:
            self.batch(tokens, fed)
        self.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def batch(self, tokens: int, fed: int) -> None:
        self.tokens.append(tokens)
        self.fed.append(fed)

    def seen(self) -> Seen:
        return Seen(
            ended=self.ended,
            cpu=self.cpu,
            losses=self.losses,
            tokens=self.tokens[: len(self.ended)],
            fed=self.fed[: len(self.ended)],
            peak_bytes=self.peak_bytes,
        )


def sedi(job: Job) -> Seen:
    from consumers.trainer.options import TrainOptions
    from consumers.trainer.record.metrics import StepLine
    from consumers.trainer.run import train
    from infra.settings import load

    clock = Clock()

    def on_line(line: StepLine) -> None:
        fed = round(line.all_tokens / (1.0 - line.padding))  # type: ignore[operator]
        clock.note(line.loss, line.all_tokens, fed)

    options = TrainOptions(
        run=job.run,
        model=job.model,
        output=Path(job.output),
        until_end=True,
        max_steps=job.steps,
        max_length=job.max_length,
        learning_rate=job.learning_rate,
        warmup_ratio=0.0,
        clip=job.clip,
        precision=job.precision,
        device="cpu",
        threads=1,
        checkpoint_every=10 * job.steps,
    )
    summary = train(options, load(), on_line=on_line, say=lambda line: None)
    spent = {"around_s": summary.around_s, "waiting_s": summary.waiting_s, "step_s": summary.seconds}
    return msgspec.structs.replace(clock.seen(), **spent)


def torch_loop(job: Job) -> Seen:
    import torch

    tokenizer, encoded, model = _loaded(job)
    model.to(torch.bfloat16 if job.precision == "bf16" else torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=job.learning_rate, weight_decay=0.0, fused=True)
    clock = Clock()
    for step in range(job.steps):
        rows = encoded[step * job.batch_size : (step + 1) * job.batch_size]
        width = max(len(row.tokens) for row in rows)
        ids = torch.full((len(rows), width), tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        labels = torch.full_like(ids, -100)
        for index, row in enumerate(rows):
            length = len(row.tokens)
            ids[index, :length] = torch.tensor(row.tokens)
            mask[index, :length] = 1
            labels[index, row.prompt : length] = ids[index, row.prompt : length]
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), job.clip)
        optimizer.step()
        optimizer.zero_grad()
        clock.note(loss.item(), int(mask.sum()), ids.numel())
    return clock.seen()


def hf_trainer(job: Job) -> Seen:
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    tokenizer, encoded, model = _loaded(job)
    rows = [
        {"input_ids": list(row.tokens), "labels": [-100] * row.prompt + list(row.tokens[row.prompt :])}
        for row in encoded
    ]
    clock = Clock()
    arguments = TrainingArguments(**_arguments(job))
    collator = DataCollatorForSeq2Seq(tokenizer, padding=True)
    trainer = Trainer(model, arguments, train_dataset=rows, data_collator=_counted(collator, clock))  # type: ignore[arg-type]
    return _run(trainer, clock)


def trl_trainer(job: Job) -> Seen:
    import datasets
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from infra.models.templates import texts

    # datasets hashes its input by pickling it, and would pickle modules outside the prefixes as a whole.
    sys.real_prefix = str(Path(datasets.__file__).parents[1])  # type: ignore[attr-defined]
    tokenizer, _, model = _loaded(job)
    pairs = [texts(row, tokenizer, "chat") for row in _rows(job)]
    dataset = Dataset.from_list([{"prompt": prompt, "completion": completion} for prompt, completion in pairs])
    clock = Clock()
    arguments = SFTConfig(
        **_arguments(job), max_length=job.max_length, completion_only_loss=True, gradient_checkpointing=False
    )
    trainer = SFTTrainer(model, arguments, train_dataset=dataset, processing_class=tokenizer)
    trainer.data_collator = _counted(trainer.data_collator, clock)
    return _run(trainer, clock)


def _arguments(job: Job) -> dict[str, Any]:
    return {
        "output_dir": job.output,
        "per_device_train_batch_size": job.batch_size,
        "max_steps": job.steps,
        "learning_rate": job.learning_rate,
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "max_grad_norm": job.clip,
        "optim": "adamw_torch_fused",
        "bf16": job.precision == "bf16",
        "use_cpu": True,
        "train_sampling_strategy": "sequential",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "remove_unused_columns": False,
    }


def _counted(collator: Callable[[Any], Any], clock: Clock) -> Callable[[Any], Any]:
    def collate(rows: Any) -> Any:
        batch = collator(rows)
        clock.batch(int(batch["attention_mask"].sum()), batch["input_ids"].numel())
        return batch

    return collate


def _run(trainer: Any, clock: Clock) -> Seen:
    from transformers import TrainerCallback

    class Note(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.note()

    trainer.add_callback(Note())
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    clock.losses[: len(losses)] = losses
    return clock.seen()


def _rows(job: Job) -> list[InstructionKept]:
    return [msgspec.json.decode(line, type=InstructionKept) for line in Path(job.rows).read_bytes().splitlines()]


def _loaded(job: Job) -> tuple[Any, Sequence[Any], Any]:
    """Tokenizer, the rows' tokens, and the model in fp32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from infra.models.templates import encode

    torch.set_num_threads(1)
    torch.manual_seed(42)
    tokenizer = AutoTokenizer.from_pretrained(job.model)
    encoded = [encode(row, tokenizer, "chat", job.max_length) for row in _rows(job)]
    return tokenizer, encoded, AutoModelForCausalLM.from_pretrained(job.model, dtype=torch.float32).train()


SIDES: dict[str, Callable[[Job], Seen]] = {"sedi": sedi, "torch": torch_loop, "hf": hf_trainer, "trl": trl_trainer}


def main(side: str, job: Path) -> None:
    """Run one side; the output of libraries goes to standard error, only the JSON to standard output."""
    channel = os.dup(1)
    os.dup2(2, 1)
    seen = SIDES[side](msgspec.json.decode(job.read_bytes(), type=Job))
    os.write(channel, msgspec.json.encode(seen))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
