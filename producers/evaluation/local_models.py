"""Models of folders, kept loaded from one set of prompts to the next; one at a time, so that memory holds it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from infra.distribution import require
from infra.log.closing import Closing
from infra.models.templates import Template
from infra.settings import Settings
from producers.backends.base import Answer, CallPlace, Request

if TYPE_CHECKING:
    from producers.backends.transformers import TransformersBackend


class LoadedModel:
    """A backend that stays open when an event loop is done with it."""

    def __init__(self, backend: TransformersBackend) -> None:
        self.name = backend.name
        self.model = backend.model
        self._backend = backend

    async def complete(self, request: Request, place: CallPlace) -> Answer:
        return await self._backend.complete(request, place)

    async def close(self) -> None:
        """It goes on."""


class LocalModels(Closing):
    """The model that was asked for last."""

    def __init__(self) -> None:
        self._key: tuple[Path, str, Template | None] | None = None
        self._backend: TransformersBackend | None = None

    def backend(
        self, folder: Path, name: str, trained: Template | None, settings: Settings, notify: Callable[[str], None]
    ) -> LoadedModel:
        """The backend of a folder's model under a name; `trained`: the template that it was trained with.

        Raises ConfigurationError if it cannot be used.
        """
        if self._backend is None or self._key != (folder, name, trained):
            self.close()
            require("local", "Answers of a model on this machine")
            from producers.backends.local_model.loading import load_model, named
            from producers.backends.transformers import TransformersBackend

            at_folder = settings.model_copy(update={"backend": "transformers", "model": str(folder.absolute())})
            model = named(load_model(at_folder, notify), name, trained)
            self._backend = TransformersBackend(model, settings.transformers_batch, notify)
            self._key = (folder, name, trained)
        return LoadedModel(self._backend)

    def close(self) -> None:
        if self._backend is not None:
            self._backend.stop()
        self._backend = self._key = None
