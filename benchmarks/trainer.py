"""The trainer, a plain torch loop, transformers' Trainer and TRL's SFTTrainer: tokens per second, padding, memory.

All sides have the same model, rows, batches, precision and optimizer (see `trainer_sides`) and take turns, each in a
separate process, so that other load slows all of them; ratios are within a round, and the median of the rounds counts.
Tokens are counted without padding and without the first steps. What `sedi` does between its steps (reading the log,
batching, logging) is reported separately.

The model is a Llama with 5 million random weights and a tokenizer trained on the seed tasks, unless a folder is given.
TRL and datasets are installed outside the environment (by `make bench`), visible to these processes only.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.trainer_sides import SIDES, Job, Seen
from consumers.trainer.options import Precision
from consumers.trainer.record.output_capture import capture_output
from infra.cluster import topics
from infra.local_broker.temporary_broker import temporary_broker
from infra.log.writer import LogWriter
from infra.settings import Settings, environment_of, load
from schemas import ids
from schemas.events import InstructionKept, RunConfigured
from schemas.policy import policy_for
from schemas.seeds import parse_seed_lines

ROUNDS, STEPS, WARM_UP, BATCH = 3, 23, 3, 16
PACKAGES = Path(".cache/bench-packages")
_MOST_CHARACTERS = 400
_CHAT = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

Step = Callable[..., None]


@dataclass(frozen=True)
class Round:
    """One run of one side, without warm-up.

    tokens_per_s, tokens_per_cpu_s   prompt and response tokens without padding, by wall-clock and CPU time
    padding                          share of the model's input
    around                           `sedi` only: reading, batching and logging, relative to the time in steps
    waiting_s                        `sedi` only: waiting for rows, including those of the first step
    """

    side: str
    tokens_per_s: float
    tokens_per_cpu_s: float
    padding: float
    peak_bytes: int
    around: float | None
    waiting_s: float | None
    losses: list[float | None]


@dataclass(frozen=True)
class Results:
    rounds: list[Round]
    steps: int
    model: str
    parameters: int
    precision: Precision

    def ratio(self, side: str, other: str, name: str = "tokens_per_s") -> float:
        """The median over the rounds of one side's number divided by the other's."""
        mine, theirs = ([getattr(r, name) for r in self.rounds if r.side == each] for each in (side, other))
        return median(one / two for one, two in zip(mine, theirs, strict=True))

    def middle(self, side: str, name: str) -> float:
        return median(getattr(r, name) for r in self.rounds if r.side == side)


def measure(rounds: int, steps: int, precision: Precision, model: Path | None, out: Path, step: Step) -> Results:
    """Run all sides in turn, `rounds` times; their outputs stay in `out`. Raises SystemExit without TRL."""
    if not (PACKAGES / "trl").is_dir():
        raise SystemExit(f"TRL is not in {PACKAGES}. `make bench` puts it there.")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sedi-bench-") as name, capture_output(Path(name) / "log"):
        folder = Path(name)
        trainee = model or _random_model(folder / "model")
        rows = _kept(steps * BATCH)
        (folder / "rows.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, rows)))
        found: list[Round] = []
        with temporary_broker(load(state_dir=folder / "state")) as broker:
            for number in range(rounds):
                for side in SIDES:
                    step(f"round {number + 1}: {side}", number * len(SIDES), rounds * len(SIDES))
                    run = f"bench-{number}"
                    if side == "sedi":
                        _fill(broker.settings, run, rows)
                    output = folder / f"{side}-{number}"
                    job = Job(
                        model=str(trainee),
                        rows=str(folder / "rows.jsonl"),
                        run=run,
                        output=str(output),
                        batch_size=BATCH,
                        steps=steps,
                        precision=precision,
                        learning_rate=1e-4,
                        clip=1.0,
                        max_length=512,
                    )
                    seen = _side(side, job, folder, broker.settings)
                    (out / f"{side}-{number + 1}.json").write_bytes(msgspec.json.encode(seen))
                    found.append(_round(side, seen))
        return Results(found, steps, trainee.name if model else "random Llama", _parameters(trainee), precision)


def _side(side: str, job: Job, folder: Path, settings: Settings) -> Seen:
    path = folder / f"{Path(job.output).name}.json"
    path.write_bytes(msgspec.json.encode(job))
    environment = {**os.environ, **environment_of(settings), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment["PYTHONPATH"] = str(PACKAGES.resolve())
    log = path.with_suffix(".log")
    with log.open("wb") as file:
        command = [sys.executable, "-m", "benchmarks.trainer_sides", side, str(path)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=file, check=False)
    if done.returncode:
        raise SystemExit(f"{side} ended with {done.returncode}:\n{log.read_text(errors='replace')[-3000:]}")
    return msgspec.json.decode(done.stdout, type=Seen)


def _round(side: str, seen: Seen) -> Round:
    tokens, fed = sum(seen.tokens[WARM_UP:]), sum(seen.fed[WARM_UP:])
    return Round(
        side=side,
        tokens_per_s=tokens / (seen.ended[-1] - seen.ended[WARM_UP - 1]),
        tokens_per_cpu_s=tokens / (seen.cpu[-1] - seen.cpu[WARM_UP - 1]),
        padding=1.0 - tokens / fed,
        peak_bytes=seen.peak_bytes,
        around=seen.around_s / seen.step_s if seen.around_s is not None and seen.step_s else None,
        waiting_s=seen.waiting_s,
        losses=seen.losses,
    )


def show(console: Console, found: Results) -> None:
    """The medians as text."""
    table = Table(
        "side",
        "tokens/s",
        "× sedi",
        "tokens/CPU s",
        "× sedi",
        "padding",
        "peak MiB",
        "first loss",
        "last loss",
        title=f"{found.model}, {found.parameters / 1e6:.1f} M parameters, {found.precision}, CPU, one thread; batches "
        f"of {BATCH}; {found.steps - WARM_UP} steps, median of {len(found.rounds) // len(SIDES)} rounds",
    )
    for side in SIDES:
        losses = next(r.losses for r in found.rounds if r.side == side)
        table.add_row(
            side,
            f"{found.middle(side, 'tokens_per_s'):,.0f}",
            f"{found.ratio(side, 'sedi'):.2f}",
            f"{found.middle(side, 'tokens_per_cpu_s'):,.0f}",
            f"{found.ratio(side, 'sedi', 'tokens_per_cpu_s'):.2f}",
            f"{found.middle(side, 'padding'):.1%}",
            f"{found.middle(side, 'peak_bytes') / 2**20:,.0f}",
            f"{losses[0]:.4f}",
            f"{losses[-1]:.4f}",
        )
    console.print(table)
    around = median(r.around for r in found.rounds if r.around is not None)
    waiting = median(r.waiting_s for r in found.rounds if r.waiting_s is not None)
    by_clock, by_cpu = (found.ratio("sedi", "trl", name) for name in ("tokens_per_s", "tokens_per_cpu_s"))
    console.print(
        f"sedi is at {by_clock:.2f} × TRL's tokens/s ({by_cpu:.2f} × by processor time); reading, batching and logging "
        f"take {around:.2%} of its time in steps, waiting for the first rows {waiting:.2f} s"
    )


def write_json(path: Path, found: Results) -> None:
    """All results, with the environment."""
    from importlib.metadata import version

    names = ("torch", "transformers", "deepspeed")
    document = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cpus": os.cpu_count(),
            **{name: version(name) for name in names},
        },
        "sedi_to": {
            side: {name: found.ratio("sedi", side, name) for name in ("tokens_per_s", "tokens_per_cpu_s")}
            for side in SIDES
        },
        **msgspec.to_builtins(found),
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _seed_tasks() -> list[tuple[str, str, str]]:
    text = (files("producers") / "seeds" / "seed_tasks.jsonl").read_text(encoding="utf-8")
    tasks = parse_seed_lines(text.splitlines(), "seed_tasks.jsonl")
    return [(task.instruction, task.input, task.output[:_MOST_CHARACTERS]) for task in tasks]


def _kept(count: int) -> list[InstructionKept]:
    """Seed tasks, repeated and assigned to the clusters in turn, so that batch n is rows 16 n to 16 n + 15."""
    tasks = _seed_tasks()
    made = []
    for number in range(count):
        instruction, given, output = tasks[number * 7 % len(tasks)]
        generation = ids.generation_id("g0", number)
        made.append(
            InstructionKept(
                id=ids.instruction_id(generation, 0),
                instruction=instruction,
                input=given,
                output=output,
                generation_id=generation,
                generated_offset=number,
                place=0,
                cluster=number % BATCH,
                classifier_offset=0,
            )
        )
    return made


def _fill(settings: Settings, run: str, rows: list[InstructionKept]) -> None:
    topics.apply(settings, run, BATCH)
    configured = RunConfigured(run=run, policy=policy_for("sedi", batch_size=BATCH), seeds=(), versions={})
    with LogWriter(settings, run, "benchmark") as writer:
        writer.write(configured, key=run, id=ids.run_id(run))
        sending = iter(rows)
        while chunk := list(islice(sending, 256)):
            for sent in [writer.send(row, key=row.id, id=row.id, partition=row.cluster) for row in chunk]:
                writer.wait(sent)


def _random_model(folder: Path) -> Path:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = ["<|end|>", "<|pad|>", "<|user|>", "<|assistant|>"]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4096,
        special_tokens=[AddedToken(token, special=True) for token in special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(("\n".join(task) for task in _seed_tasks()), trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>", pad_token="<|pad|>")
    tokenizer.chat_template = _CHAT
    config = LlamaConfig(
        vocab_size=4096,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    import torch

    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _parameters(folder: Path) -> int:
    from safetensors import safe_open

    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="np") as file:  # type: ignore[no-untyped-call]
            shapes: list[Any] = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
        for shape in shapes:
            size = 1
            for side in shape:
                size *= side
            total += size
    return total
