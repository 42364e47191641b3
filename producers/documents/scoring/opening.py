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
        yield _at_endpoint(settings, options)
        return
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


def _at_endpoint(settings: Settings, options: ScorerOptions) -> ScorerBackend:
    require("run", "A scorer at an endpoint")
    from producers.documents.scoring.endpoint import EndpointScorer

    if options.tokenizer is None:
        return EndpointScorer(settings, options)
    require("local", "A scorer with a tokenizer")
    from infra.models.loading import load_tokenizer
    from infra.models.templates import choose_template

    try:
        tokenizer = load_tokenizer(options.tokenizer)
        choose_template(tokenizer, options.template)
    except TrainerError as error:
        raise ConfigurationError(f"The scorer's tokenizer cannot be used. {error}") from error
    return EndpointScorer(settings, options, tokenizer)
