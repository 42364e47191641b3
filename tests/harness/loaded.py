"""The imports of the forked test processes, done once in their parent.

Nothing here computes or opens a connection, so a fork starts like a fresh process after its imports.
"""

import gc
import importlib
import os
from pathlib import Path

from consumers.trainer.record.output_capture import capture_output
from infra.models import cpu

_MODULES = (
    "consumers.trainer.run",
    "consumers.trainer.engine.step",
    "consumers.replay",
    "streams.worker.main",
    "producers.generate.generator",
    "producers.judge.judge",
    "producers.backends.openai",
    "producers.backends.recorded",
    "sedi.main",
    "sedi.generate",
    "sedi.train",
    "sedi.worker",
    "sedi.output",
    "sklearn.linear_model",
    "rouge_score.rouge_scorer",
)

cpu.passive_threads()
os.environ.setdefault("DS_ACCELERATOR", "cpu")
for name in _MODULES:  # before capture_output: Faust's log keeps the standard output that it finds
    importlib.import_module(name)
with capture_output(Path(os.devnull)):
    from torch.utils.tensorboard import SummaryWriter  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM  # noqa: F401

    from consumers.trainer.engine.deepspeed_setup import import_deepspeed

    import_deepspeed("cpu")
gc.freeze()  # DeepSpeed collects garbage many times when an engine starts
