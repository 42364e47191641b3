"""A row of a data set: a kept instruction and its lineage."""

from dataclasses import dataclass

import msgspec

from schemas.events import InstructionAnswered, InstructionKept, InstructionsGenerated


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """Where a row comes from; a line of `lineage.jsonl`, and columns of the Parquet file.

    generated_offset, place   its position in the run's total order
    classifier_offset         `from_offset` of the classifier that chose the cluster
    request_ids               its generation's answered requests, in order; then those of its answer, if it was answered
                              apart
    cost_usd                  of its whole generation; None when it is not known
    answer_model, answer_cost_usd   of its answer, if it was answered apart; else absent
    score                     the judge's; absent unless a minimum score was set
    origin                    the run, by its name in the export; absent unless it has several sources
    """

    id: str
    generation_id: str
    generated_offset: int
    place: int
    cluster: int
    classifier_offset: int
    lane: str
    number: int
    model: str
    backend: str
    style: str
    seed_ids: tuple[str, ...]
    request_ids: tuple[str, ...]
    cost_usd: float | None
    answer_model: str | msgspec.UnsetType = msgspec.UNSET
    answer_cost_usd: float | msgspec.UnsetType | None = msgspec.UNSET
    score: float | msgspec.UnsetType = msgspec.UNSET
    origin: str | msgspec.UnsetType = msgspec.UNSET


class FileLineage(msgspec.Struct, frozen=True, kw_only=True):
    """Where a row of a file comes from; its line of `lineage.jsonl`, and columns of the Parquet file.

    id           of the file's content and the row's number in it
    origin       the file, by its name in the export
    file_place   in the file: `line 3` or `row 3`, from 1
    """

    id: str
    origin: str
    file_place: str


@dataclass(frozen=True, slots=True)
class FileRow:
    """A row of a file that joins an export."""

    id: str
    instruction: str
    input: str
    output: str


@dataclass(frozen=True, slots=True)
class ExportRow:
    """A kept instruction, or a row of a file, with its lineage."""

    kept: InstructionKept | FileRow
    lineage: Lineage | FileLineage

    @property
    def name(self) -> str:
        """Its id; in an export of several sources with the name of its own, as ids are unique only within a run."""
        origin = self.lineage.origin
        return self.kept.id if isinstance(origin, msgspec.UnsetType) else f"{origin}:{self.kept.id}"


def row(
    kept: InstructionKept,
    generation: InstructionsGenerated,
    score: float | msgspec.UnsetType = msgspec.UNSET,
    origin: str | msgspec.UnsetType = msgspec.UNSET,
    answer: InstructionAnswered | None = None,
) -> ExportRow:
    """The row of a kept instruction of a generation, with its answer if it was answered apart."""
    answers = (*generation.answers, *(() if answer is None else answer.answers))
    return ExportRow(
        kept if answer is None else answer.row,
        Lineage(
            id=kept.id,
            generation_id=kept.generation_id,
            generated_offset=kept.generated_offset,
            place=kept.place,
            cluster=kept.cluster,
            classifier_offset=kept.classifier_offset,
            lane=generation.lane,
            number=generation.number,
            model=generation.model,
            backend=generation.backend,
            style=generation.style,
            seed_ids=generation.seed_ids,
            request_ids=tuple(one.request_id for one in answers),
            cost_usd=generation.cost_usd,
            answer_model=msgspec.UNSET if answer is None else answer.model,
            answer_cost_usd=msgspec.UNSET if answer is None else answer.cost_usd,
            score=score,
            origin=origin,
        ),
    )
