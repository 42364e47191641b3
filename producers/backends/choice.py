"""Opens the backend that the settings name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.distribution import require
from infra.models.model_info import warning_of_task
from infra.settings import Settings
from producers.backends.base import Backend
from producers.backends.load_model import LoadModel
from producers.backends.recorded import RecordedBackend, RecordedOptions
from schemas.errors import ConfigurationError

BUILTIN_IN_FLIGHT = 8
"""Calls in flight at the built-in model: more are hardly faster, and each slot takes 47 MB."""

_IN_FLIGHT = 16


def asks_builtin(settings: Settings) -> bool:
    """Whether the built-in model answers, by whichever backend; it has a style and forms of its own."""
    return settings.backend == "builtin" or (settings.backend == "transformers" and settings.model == "builtin")


def warn_of_task(settings: Settings, progress: Callable[[str], None]) -> None:
    """Report that the local model is an instruction generator, to callers who need one that follows instructions."""
    if settings.backend == "transformers" and settings.model is not None:
        warning = warning_of_task(Path(settings.model).expanduser())
        if warning is not None:
            progress(warning)


def in_flight_of(settings: Settings) -> int:
    """Calls in flight that suit the backend."""
    known = {"builtin": BUILTIN_IN_FLIGHT, "transformers": settings.transformers_batch}
    return known.get(settings.backend, _IN_FLIGHT)


@contextmanager
def opened_backend(
    settings: Settings,
    recorded: RecordedOptions | None,
    in_flight: int,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Backend]:
    """The backend. A server process of the built-in model, or a model in this process, ends with the context.

    With a base URL in the settings, the built-in model of that server is used, and none is started.
    Raises ConfigurationError for missing settings, BackendError when the built-in server does not start.
    """
    if (settings.backend == "recorded") != (recorded is not None):
        raise ConfigurationError(
            f"The backend is {settings.backend!r} and recorded answers were {'given' if recorded else 'not given'}. "
            "Set SEDI_BACKEND=recorded together with --recorded FILE, or neither."
        )
    if recorded is not None:
        yield RecordedBackend(recorded)
        return
    if settings.backend == "load-model":
        yield LoadModel(rng_seed=settings.load_model_seed, pace=settings.load_model_pace)
        return
    if settings.backend == "transformers":
        require("local", "The backend `transformers`")
        from producers.backends.transformers import TransformersBackend

        loaded = TransformersBackend.of(settings, progress)
        try:
            yield loaded
        finally:
            loaded.stop()
        return
    if settings.backend == "openai":
        require("run", "The backend `openai`")
        from producers.backends.openai import OpenAIBackend

        yield OpenAIBackend.of(settings)
        return
    require("local", "The backend `builtin`")
    from producers.backends.builtin.backend import BuiltinBackend
    from producers.backends.builtin.model import MODEL_NAME
    from producers.backends.builtin.server import BuiltinServer, ServerSettings

    def backend_at(base_url: str, model: str) -> Backend:
        return BuiltinBackend(name="builtin", model=model, base_url=base_url, timeout_s=settings.request_timeout_s)

    if settings.base_url:
        yield backend_at(settings.base_url, settings.model or MODEL_NAME)
        return
    serving = ServerSettings(state_dir=settings.state_dir, cache_dir=settings.cache_dir, slots=in_flight)
    with BuiltinServer(serving, progress) as server:
        yield backend_at(server.base_url, server.model)
