"""The backend that the settings name."""

from infra.settings import Settings
from producers.backends.base import Backend
from producers.backends.recorded import RecordedBackend, RecordedOptions
from schemas.errors import ConfigurationError


def open_backend(settings: Settings, recorded: RecordedOptions | None = None) -> Backend:
    """Make it, not yet connected to anything.

    The built-in model is an endpoint like any other: whoever starts its server gives its URL and model in the settings.
    Raises ConfigurationError for what is missing.
    """
    if (settings.backend == "recorded") != (recorded is not None):
        raise ConfigurationError(
            f"The backend is {settings.backend!r} and recorded answers were {'given' if recorded else 'not given'}. "
            "Set SEDI_BACKEND=recorded together with --recorded FILE, or neither."
        )
    if recorded is not None:
        return RecordedBackend(recorded)
    from producers.backends.openai import OpenAIBackend

    return OpenAIBackend.of(settings)
