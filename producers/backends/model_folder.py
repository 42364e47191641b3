"""The folder of a model that is named by a folder, a hub name, or `builtin`."""

import re
from collections.abc import Callable
from pathlib import Path

from infra.visible import first_line
from schemas.errors import ConfigurationError

_PATTERNS = ["*.safetensors", "*.json", "*.model", "*.jinja", "*.txt"]
_HUB_NAME = re.compile(r"[\w.\-]+/[\w.\-]+")


def is_hub_name(name: str) -> bool:
    """Whether a name has the form of a hub's: owner/name."""
    return _HUB_NAME.fullmatch(name) is not None


def model_folder(model: str, cache_dir: Path, notify: Callable[[str], None] = lambda _: None) -> tuple[Path, str]:
    """A model's folder, and its name in events: of a folder, the last part. A name that looks like a path is never
    looked up on a hub. Raises ConfigurationError when there is no such model."""
    if model == "builtin":
        from producers.backends.builtin.model import MODEL_NAME, safetensors_folder

        return safetensors_folder(cache_dir, notify), MODEL_NAME
    path = Path(model).expanduser()
    if (path / "config.json").is_file():
        return path, path.resolve().name
    if path.exists() or model.startswith((".", "/", "~")) or not is_hub_name(model):
        raise ConfigurationError(
            f"{model!r} is no model. Give a folder with config.json, weights and tokenizer, as transformers saves it, "
            "a hub name (owner/name), or `builtin`."
        )
    return hub_folder(model), model


def hub_folder(name: str) -> Path:
    """The folder of a hub's model, fetched if it is not on this machine. Raises ConfigurationError."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=_PATTERNS))
    except (OSError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise ConfigurationError(
            f"The model {name} cannot be fetched from the hub: {first_line(error)} Give a folder that holds it, or "
            "another name."
        ) from error
