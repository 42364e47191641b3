"""Golden logs with one deliberate fault each, and the expected findings of an audit.

Where the fault's writer would have written consistent follow-ups (the totals after a flipped decision), the edit does
too: the log is wrong in one decision and otherwise consistent. Further expected findings are counted in `total`, with
a comment.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.golden.edits import Json, Log

Place = tuple[str, int, int]
"""Topic, partition, offset."""

_NO_DIVERGENCE = ("repeat", "unreadable", "not put aside")


@dataclass(frozen=True)
class Fault:
    """One edit of a golden log.

    kind, place   of the first divergence; "repeat", "unreadable" and "not put aside" are findings and no divergences
    total         divergences in all, by kind
    """

    name: str
    golden: str
    edit: Callable[[Log], object]
    kind: str
    place: Place
    total: dict[str, int]

    @property
    def of_decisions(self) -> bool:
        """Whether a decision differs, rather than a record being duplicate or unreadable."""
        return self.kind not in _NO_DIVERGENCE


FAULTS: list[Fault] = []


def _fault(
    kind: str, topic: str, offset: int, partition: int = 0, *, golden: str = "undisturbed", **others: int
) -> Callable[[Callable[[Log], object]], Callable[[Log], object]]:
    """Register an edit: the fault's name is the function's, `others` the further divergences by kind."""

    def register(edit: Callable[[Log], object]) -> Callable[[Log], object]:
        total = dict(others)
        if kind not in _NO_DIVERGENCE:
            total[kind] = 1 + total.get(kind, 0)
        name = edit.__name__.replace("_", " ").strip()
        FAULTS.append(Fault(name, golden, edit, kind, (topic, partition, offset), total))
        return edit

    return register


def _set(**fields: object) -> Callable[[Json], object]:
    return lambda value: value.update(fields)


def _rejection(place: int, **fields: object) -> Callable[[Json], object]:
    """Change the rejection at `place` of an InstructionsRejected."""
    return lambda value: value["rejections"][place].update(fields)


def _recount(log: Log, since: int, by: int) -> None:
    """Add to the kept totals of `rejected` from a record on, as a filter with that decision would have."""
    log.change("rejected", since, lambda value: value.update(kept=value["kept"] + by))
    for offset, value in enumerate(log.values("rejected")):
        if offset >= since and value:
            log.change("rejected", offset, _set(kept_total=value["kept_total"] + by))


def _place_of(log: Log, id: str) -> tuple[int, int]:
    """Partition and offset of a kept row."""
    found = [
        (partition, offset)
        for partition in (0, 1)
        for offset, value in enumerate(log.values("kept", partition))
        if value.get("id") == id
    ]
    return found[0]


# -- the filter's decisions ------------------------------------------------------------------------------------------


@_fault("flipped", "rejected", 7)
def a_row_that_is_kept_is_told_as_rejected_too(log: Log) -> None:
    row = log.value("kept", 9)
    verdict = {"similarity": None, "nearest_id": None, "threshold": None}
    rejection = {"id": row["id"], "place": row["place"], "reason": "too_short", **verdict}
    log.change("rejected", 7, lambda value: value["rejections"].insert(0, rejection))


@_fault("missing", "rejected", 7)
def a_rejection_is_missing_from_its_record(log: Log) -> None:
    log.change("rejected", 7, _set(rejections=[]))


@_fault("missing", "rejected", 7)
def a_whole_word_of_the_filter_is_missing(log: Log) -> None:
    log.remove("rejected", 7)


@_fault("similarity", "rejected", 7)
def the_similarity_of_a_rejection_is_another(log: Log) -> None:
    log.change("rejected", 7, _rejection(0, similarity=0.875))


@_fault("similarity", "rejected", 8)
def the_nearest_of_a_rejection_is_another(log: Log) -> None:
    log.change("rejected", 8, _rejection(1, nearest_id=log.value("kept", 0)["id"]))


@_fault("reason", "rejected", 3)
def the_reason_of_a_rejection_is_another(log: Log) -> None:
    log.change("rejected", 3, _rejection(0, reason="too_long"))


@_fault("reason", "rejected", 7)
def a_similar_instruction_is_rejected_by_a_rule(log: Log) -> None:
    log.change("rejected", 7, _rejection(0, reason="too_long", similarity=None, nearest_id=None, threshold=None))


@_fault("counts", "rejected", 7)
def a_total_of_the_filter_is_another(log: Log) -> None:
    log.change("rejected", 7, _set(generated_total=24))


@_fault("counts", "rejected", 9)
def the_count_kept_of_a_generation_is_another(log: Log) -> None:
    log.change("rejected", 9, _set(kept=3))


@_fault("altered", "kept", 30)
def the_text_of_a_kept_row_is_another(log: Log) -> None:
    log.change("kept", 30, _set(instruction="Praise tea and ink as a poem"))


@_fault("altered", "kept", 30)
def a_kept_row_names_another_classifier(log: Log) -> None:
    log.change("kept", 30, _set(classifier_offset=7))


@_fault("unexpected", "kept", 31, victim=1)  # the score of the seeds that the row's generation was shown changes
def a_kept_row_is_of_no_instruction(log: Log) -> None:
    log.copy("kept", 30, 31)
    log.change("kept", 31, _set(generated_offset=31, place=2, id="00000000-0000-0000-0000-000000000000"))


# -- classifiers and policy ------------------------------------------------------------------------------------------


@_fault("classifier", "run", 3)
def a_number_of_a_classifier_is_another(log: Log) -> None:
    log.change("run", 3, lambda value: value["classifier"]["idf"].__setitem__(0, value["classifier"]["idf"][0] + 1e-5))


@_fault("classifier", "run", 3)
def a_classifier_was_fitted_on_more_texts(log: Log) -> None:
    log.change("run", 3, _set(kept_total=17))


@_fault("classifier", "run", -1)
def a_classifier_is_missing(log: Log) -> None:
    log.remove("run", 3)


@_fault("classifier", "run", 4, altered=29, cluster=1)  # later rows name the one that was due
def a_classifier_was_fitted_too_early(log: Log) -> None:
    log.change("run", 4, _set(from_offset=14))


@_fault("flipped", "rejected", 7, flipped=7)  # all eight that were rejected as similar
def the_threshold_of_the_policy_is_above_some_rejections(log: Log) -> None:
    log.change("run", 0, lambda value: value["policy"].update(threshold=0.86))


@_fault("flipped", "kept", 3, flipped=47, similarity=8)  # each rejection tells of the threshold it was made by
def the_threshold_of_the_policy_is_below_some_kept(log: Log) -> None:
    log.change("run", 0, lambda value: value["policy"].update(threshold=0.5))


# -- generations -----------------------------------------------------------------------------------------------------


@_fault("answer", "generated", 9, read=1)  # its last task's output is another then
def an_answer_in_a_generation_is_not_that_of_the_ledger(log: Log) -> None:
    log.change("generated", 9, lambda value: value["answers"][0].update(raw=value["answers"][0]["raw"] + " Or so."))


@_fault("answer", "generated", 9)
def an_answer_is_missing_from_the_ledger(log: Log) -> None:
    log.remove("calls", 19)


@_fault("seeds_shown", "generated", 31)
def a_generation_was_shown_its_seeds_the_other_way_round(log: Log) -> None:
    log.change("generated", 31, lambda value: value["seed_ids"].reverse())


@_fault("seeds_shown", "generated", 26, victim=1)  # what is kept of it counts for another seed
def a_generation_was_shown_another_seed_of_the_pool(log: Log) -> None:
    other = log.value("generated", 27)["seed_ids"][1]
    log.change("generated", 26, lambda value: value["seed_ids"].__setitem__(0, other))


@_fault("seeds_shown", "generated", 22)
def a_generation_was_shown_the_pool_after_a_later_command(log: Log) -> None:
    log.change("generated", 22, _set(seed_commands_offset=9))


@_fault("removed", "generated", 26, lane=1, victim=1)  # its lane has a gap, and its seeds have another score
def a_generation_is_missing(log: Log) -> None:
    log.lose("generated", 26)


# every instruction of both is decided on in another place than it was
@_fault("lane", "generated", 7, missing=6, flipped=3, unexpected=3, victim=1)
def two_generations_stand_in_the_wrong_order(log: Log) -> None:
    log.swap("generated", 7, 8)


@_fault("read", "generated", 31, altered=1)
def a_kept_instruction_of_a_generation_is_another(log: Log) -> None:
    log.change("generated", 31, lambda value: value["instructions"][1].update(output="Not so."))


@_fault("read", "generated", 31)
def an_instruction_is_another_wherever_it_stands_but_in_its_answer(log: Log) -> None:
    log.change("generated", 31, lambda value: value["instructions"][1].update(output="Not so."))
    log.change("kept", 28, _set(output="Not so."), 1)
    log.change("seed-commands", 14, lambda value: value["replacements"][1]["seed"].update(output="Not so."))


@_fault("read", "generated", 31)
def a_part_that_could_not_be_read_is_not_told(log: Log) -> None:
    log.change("generated", 31, lambda value: value["unparsed"].clear())


# -- windows and commands --------------------------------------------------------------------------------------------


@_fault("victim", "seed-commands", 14)
def a_command_replaces_another_seed(log: Log) -> None:
    log.change("seed-commands", 14, lambda value: value["replacements"][0].update(victim_id="s1"))


@_fault("victim", "seed-commands", 14)
def a_command_replaces_one_seed_less(log: Log) -> None:
    log.change("seed-commands", 14, lambda value: value["replacements"].pop())


@_fault("score", "seed-commands", 1)
def the_score_of_a_victim_is_another(log: Log) -> None:
    log.change("seed-commands", 1, lambda value: value["replacements"][0].update(victim_kept=4))


@_fault("outcome", "seed-commands", 14)
def a_command_chose_another_step(log: Log) -> None:
    log.change("seed-commands", 14, _set(step=30))


@_fault("outcome", "seed-commands", 14)
def a_command_had_another_outcome(log: Log) -> None:
    log.change("seed-commands", 14, _set(outcome="no_victims", replacements=[]))


@_fault("candidates", "seed-commands", 10)
def a_candidate_has_another_similarity(log: Log) -> None:
    log.change("seed-commands", 10, lambda value: value["candidates"][0].update(similarity=0.99))


@_fault("altered", "seed-commands", 14)
def the_text_of_a_new_seed_is_another(log: Log) -> None:
    log.change("seed-commands", 14, lambda value: value["replacements"][0]["seed"].update(output="Not so."))


@_fault("unanswered", "training-log", 0)
def a_window_was_passed_over(log: Log) -> None:
    log.remove("seed-commands", 0)
    for offset, value in enumerate(log.values("generated")):
        if value["seed_commands_offset"] >= 0:
            log.change("generated", offset, _set(seed_commands_offset=value["seed_commands_offset"] - 1))


@_fault("unexpected", "seed-commands", 14)
def a_command_answers_no_window(log: Log) -> None:
    log.remove("training-log", 14)


@_fault("batch", "training-log", 14)
def a_trained_row_is_another(log: Log) -> None:
    row = log.value("kept", 29)["id"]
    log.change("training-log", 14, lambda value: value["steps"][1]["rows"][1].update(id=row))


@_fault("steps", "training-log", 14)
def the_steps_of_a_window_do_not_follow(log: Log) -> None:
    log.change("training-log", 14, lambda value: value["steps"][1].update(step=31))


@_fault("withdrawn", "training-log", 14)
def a_window_reflects_a_withdrawal_that_is_not_on_the_log(log: Log) -> None:
    log.change("training-log", 14, _set(documents_offset=0))
    log.retype("training-log", 14, "sedi.TrainingLogged.v3")


# -- order, repeats, holes -------------------------------------------------------------------------------------------


@_fault("reordered", "rejected", 8)
def two_words_of_the_filter_stand_in_the_wrong_order(log: Log) -> None:
    log.swap("rejected", 7, 8)


@_fault("repeat", "rejected", 8)
def a_word_of_the_filter_stands_twice(log: Log) -> None:
    log.copy("rejected", 7, 8)


@_fault("repeat", "rejected", 32)
def the_last_word_of_the_filter_stands_twice(log: Log) -> None:
    log.copy("rejected", 31, 32)


@_fault("repeat", "kept", 12)
def a_kept_row_stands_twice(log: Log) -> None:
    log.copy("kept", 9, 12)


@_fault("repeat", "kept", 31)
def the_last_kept_row_stands_twice(log: Log) -> None:
    log.copy("kept", 30, 31)


@_fault("repeat", "training-log", 15)
def a_window_stands_twice(log: Log) -> None:
    log.copy("training-log", 14, 15)


@_fault("repeat", "seed-commands", 15)
def a_command_stands_twice(log: Log) -> None:
    log.copy("seed-commands", 14, 15)


@_fault("repeat", "generated", 32)
def a_generation_stands_twice(log: Log) -> None:
    log.copy("generated", 31, 32)


@_fault("repeat", "calls", 20)
def an_answer_stands_twice(log: Log) -> None:
    log.copy("calls", 19, 20)


@_fault("repeat", "run", 4)
def a_classifier_stands_twice(log: Log) -> None:
    log.copy("run", 3, 4)


@_fault("altered", "rejected", 8)
def a_word_of_the_filter_stands_again_and_says_something_else(log: Log) -> None:
    log.copy("rejected", 7, 8)
    log.change("rejected", 8, _set(generated_total=24))


@_fault("altered", "kept", 31)
def a_kept_row_stands_again_and_says_something_else(log: Log) -> None:
    log.copy("kept", 30, 31)
    log.change("kept", 31, _set(output="Not so."))


@_fault("altered", "training-log", 15)
def a_window_stands_again_and_says_something_else(log: Log) -> None:
    log.copy("training-log", 14, 15)
    log.change("training-log", 15, lambda value: value["steps"][0].update(loss=9.0))


@_fault("altered", "seed-commands", 15)
def a_command_stands_again_and_says_something_else(log: Log) -> None:
    log.copy("seed-commands", 14, 15)
    log.change("seed-commands", 15, lambda value: value["replacements"].pop())


@_fault("altered", "generated", 32)
def a_generation_stands_again_and_says_something_else(log: Log) -> None:
    log.copy("generated", 31, 32)
    log.change("generated", 32, lambda value: value["instructions"].pop())


@_fault("altered", "calls", 20)
def an_answer_stands_again_and_says_something_else(log: Log) -> None:
    log.copy("calls", 19, 20)
    log.change("calls", 20, _set(raw="Something else."))


@_fault("altered", "run", 4)
def a_classifier_stands_again_and_says_something_else(log: Log) -> None:
    log.copy("run", 3, 4)
    log.change("run", 4, _set(texts=17))


@_fault("removed", "rejected", 7, missing=1)
def a_word_of_the_filter_is_missing_and_leaves_a_hole(log: Log) -> None:
    log.lose("rejected", 7)


@_fault("removed", "calls", 18)
def a_record_of_the_ledger_is_missing_and_leaves_a_hole(log: Log) -> None:
    log.lose("calls", 18)


@_fault("removed", "run", 5)
def the_last_record_of_the_run_is_missing_and_leaves_a_hole(log: Log) -> None:
    log.lose("run", 5)


@_fault("unexpected", "rejected", 31, unexpected=2)  # the word, the row, and the command that reflects them
def the_filter_speaks_of_a_generation_that_is_not_there(log: Log) -> None:
    log.remove("generated", 31)


# -- records that cannot be read -------------------------------------------------------------------------------------


@_fault("unreadable", "rejected", 7, missing=1)
def a_word_of_the_filter_does_not_decode(log: Log) -> None:
    log.overwrite("rejected", 7, '{"generation_id": ')


@_fault("unreadable", "training-log", 14, unexpected=1)  # the command answers nothing that can be read
def a_window_does_not_decode(log: Log) -> None:
    log.overwrite("training-log", 14, "{}")


@_fault("unreadable", "seed-commands", 14)
def a_command_is_of_a_newer_version(log: Log) -> None:
    log.retype("seed-commands", 14, "sedi.ReplaceSeeds.v3")


@_fault("unreadable", "calls", 19, answer=1)
def an_answer_does_not_decode(log: Log) -> None:
    log.overwrite("calls", 19, None)


# -- in a run without a trainer, where no training follows a decision ------------------------------------------------

_BAD = "dead-letters"


@_fault("flipped", "rejected", 8, golden=_BAD)
def an_instruction_is_rejected_that_is_to_be_kept(log: Log) -> None:
    row = log.value("kept", 5, 1)
    log.remove("kept", 5, 1)
    verdict = {"similarity": None, "nearest_id": None, "threshold": None}
    rejection = {"id": row["id"], "place": row["place"], "reason": "too_short", **verdict}
    log.change("rejected", 8, lambda value: value["rejections"].insert(0, rejection))
    _recount(log, 8, -1)


@_fault("flipped", "kept", 5, 1, golden=_BAD)
def an_instruction_is_kept_that_is_to_be_rejected(log: Log) -> None:
    rejection = log.value("rejected", 7)["rejections"][1]
    task = log.value("generated", 6)["instructions"][rejection["place"]]
    log.copy("kept", 4, 5, 1)
    log.change("kept", 5, lambda value: value.update(task, id=rejection["id"], place=rejection["place"]), 1)
    log.change("rejected", 7, lambda value: value["rejections"].pop())
    _recount(log, 7, 1)


@_fault("cluster", "kept", 6, golden=_BAD)
def a_kept_row_stands_in_another_cluster(log: Log) -> None:
    log.copy("kept", 5, 6, partition=1, to_partition=0)
    log.change("kept", 6, _set(cluster=0))
    log.remove("kept", 5, 1)


@_fault("unreadable", "kept", 6, golden=_BAD, missing=1)
def a_kept_row_stands_in_another_partition_than_its_cluster(log: Log) -> None:
    log.copy("kept", 5, 6, partition=1, to_partition=0)
    log.remove("kept", 5, 1)


@_fault("missing", "kept", -1, golden=_BAD)
def a_kept_row_is_missing(log: Log) -> None:
    log.remove("kept", 8)


@_fault("removed", "kept", 8, golden=_BAD, missing=1)
def a_kept_row_is_missing_and_leaves_a_hole(log: Log) -> None:
    log.lose("kept", 8)


@_fault("unreadable", "kept", 8, golden=_BAD, missing=1)
def a_kept_row_does_not_decode(log: Log) -> None:
    log.overwrite("kept", 8, "{}")


@_fault("reordered", "kept", 7, golden=_BAD, missing=1)  # readers drop the later one
def two_kept_rows_stand_in_the_wrong_order(log: Log) -> None:
    log.swap("kept", 6, 7)


@_fault("reordered", "kept", 6, golden=_BAD, missing=1)
def two_kept_rows_of_different_generations_stand_in_the_wrong_order(log: Log) -> None:
    log.swap("kept", 5, 6)


@_fault("unreadable", "generated", 8, golden=_BAD, unexpected=3)  # nothing is to be kept of it
def a_generation_does_not_decode(log: Log) -> None:
    log.overwrite("generated", 8, "{}")


@_fault("unreadable", "generated", 8, golden=_BAD, unexpected=3)
def a_generation_bears_the_id_of_another(log: Log) -> None:
    log.change("generated", 8, _set(number=9))


@_fault("not put aside", "generated", 4, golden=_BAD)
def a_dead_letter_is_missing(log: Log) -> None:
    log.remove("generated.dlq", 1)


@_fault("unreadable", "run", 1, golden=_BAD, classifier=1)
def the_first_classifier_does_not_decode(log: Log) -> None:
    log.retype("run", 1, "sedi.ClassifierFitted.v9")


@_fault("removed", "kept", 0, golden=_BAD)
def the_first_record_of_a_partition_is_missing_and_leaves_a_hole(log: Log) -> None:
    log.lose("kept", 0)
