"""Opens what a lane about documents works with: the documents on the log, and the scorer."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from infra.distribution import require
from infra.models.model_info import is_instruction_generator
from infra.settings import Settings
from producers.backends.base import Request, ScorerBackend
from producers.backends.choice import asks_builtin
from producers.documents.document_reader import DocumentReader, PlacedDocument
from producers.documents.options import DocumentsInUse
from producers.documents.scoring.opening import opened_scorer
from producers.documents.scoring.options import ScorerOptions
from producers.documents.segment_source import ResumePoint, SegmentSource
from producers.documents.segment_subjects import SegmentSubjects
from producers.documents.style import DocumentStyle
from producers.generate.progress import LaneProgress
from producers.generate.styles import Parameters, sampling_parameters
from producers.prompts import candidates, rewrite
from producers.prompts.sampling import overlaid
from schemas.errors import ConfigurationError
from schemas.events import Instruction, RunConfigured
from schemas.segments import Segment


@contextmanager
def opened_documents(
    options: DocumentsInUse,
    settings: Settings,
    configured: RunConfigured,
    progress: LaneProgress,
    notify: Callable[[str], None],
) -> Iterator[SegmentSubjects]:
    """The subjects of a lane, where `progress` says that it is.

    Raises ConfigurationError for a run without documents, for a scorer that cannot be used, and for options that do not
    fit the run's policy or the model.
    """
    require("documents", "Cutting documents into segments")
    from producers.documents.segments import cut

    options.check(configured.policy)
    run, seed = configured.run, configured.policy.rng_seed

    def cut_document(document: PlacedDocument) -> tuple[Segment, ...]:
        return cut(document.id, document.offset, document.text, options.cut, seed)

    resume = ResumePoint.of(progress)
    reader = DocumentReader(settings, run, progress.lane, start=resume.first_offset, share=options.share)
    with closing(reader) as documents:
        if documents.is_empty and not options.follow:
            raise ConfigurationError(f"Run {run!r} has no documents. Add some: `sedi corpus add PATH... --run {run}`.")
        with opened_scorer(settings, options.scorer, notify) as scorer:
            style = _style(options, settings, configured, scorer)
            yield SegmentSubjects(style, SegmentSource(documents, cut_document, resume, follow=options.follow))


def _style(
    options: DocumentsInUse, settings: Settings, configured: RunConfigured, scorer: ScorerBackend
) -> DocumentStyle:
    trained = settings.backend == "transformers" and is_instruction_generator(Path(settings.model or ""))
    # As a completion the built-in model copies the text's beginning less often.
    api = "completion" if asks_builtin(settings) else settings.api
    if trained and options.rewrite:
        raise ConfigurationError(
            f"The model {settings.model} writes instructions and follows none, so it cannot rewrite an answer. Leave "
            "--rewrite out, or generate with another model."
        )

    def build(text: str) -> Request:
        return candidates.request(text, api, trained=trained, sampling=options.sampling, safety=options.safety)

    def build_rewrite(text: str, task: Instruction) -> Request:
        return rewrite.rewrite_request(text, task, api, sampling=options.rewrite_sampling, safety=options.safety)

    parameters: Parameters = {
        "api": api,
        "candidates": options.candidates,
        "trained": trained,
        "rewrite": options.rewrite,
        "safety": options.safety,
        "share": "/".join(map(str, options.share)),
        **options.cut.parameters(),
        **_scorer_parameters(options.scorer),
        **sampling_parameters(overlaid(candidates.SAMPLING, options.sampling)),
    }
    if options.rewrite:
        used = overlaid(rewrite.SAMPLING, options.rewrite_sampling)
        parameters |= sampling_parameters(used, "rewrite_")
    return DocumentStyle(
        policy=configured.policy,
        scorer=scorer,
        candidates=options.candidates,
        build=build,
        build_rewrite=build_rewrite if options.rewrite else None,
        parameters=parameters,
    )


def _scorer_parameters(scorer: ScorerOptions) -> Parameters:
    """How segments are scored; which model does, the scores say."""
    return {
        "scorer": scorer.model,
        "scorer_backend": scorer.backend,
        "score_max_tokens": scorer.max_tokens,
        "score_head": scorer.head_tokens,
        "score_head_margin": scorer.head_margin,
    }
