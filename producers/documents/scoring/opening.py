"""Opens the scorer that the options name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from infra.distribution import require
from infra.settings import Settings
from producers.backends.base import ScorerBackend
from producers.backends.model_folder import model_folder
from producers.documents.scoring.options import ScorerOptions
from schemas.errors import ConfigurationError, TrainerError


@contextmanager
def opened_scorer(
    settings: Settings, options: ScorerOptions, notify: Callable[[str], None] = lambda _: None
) -> Iterator[ScorerBackend]:
    """The scorer; a model in this process ends with the context. Raises ConfigurationError if it cannot be used."""
    if options.backend == "endpoint":
        raise ConfigurationError("A scorer at an endpoint is not there yet. Score with a local model.")
    require("local", "A local scorer")
    from infra.models.identity import folder_sha256
    from infra.models.likelihood.engine import LikelihoodEngine
    from infra.models.model_info import read_model_info
    from infra.models.templates import choose_template
    from producers.documents.scoring.local import LocalScorer

    folder, name = model_folder(options.model, settings.cache_dir, notify)
    notify(f"loading the scorer {name}")
    try:
        info = read_model_info(folder)
        engine = LikelihoodEngine(folder, device=options.device, precision=options.precision, threads=options.threads)
        template = choose_template(engine.tokenizer, options.template or (None if info is None else info.template))
    except TrainerError as error:
        raise ConfigurationError(f"The scorer {options.model!r} cannot be used. {error}") from error
    scorer = LocalScorer(engine, options, model=name, sha256=folder_sha256(folder), template=template)
    try:
        yield scorer
    finally:
        scorer.stop()
