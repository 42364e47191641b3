"""Answers compared with references: what is scored, what is counted, and by which matching of words."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from rouge_score.rouge_scorer import RougeScorer

from consumers.evaluation.generation import generation_scores
from consumers.evaluation.meteor import MeteorScorer
from schemas import ids
from schemas.evaluation import AnswerGiven, AnswerOutcome, Asked
from tests.unit.consumers.evaluation.contest import key, model
from tests.unit.consumers.recorded_run import source_of
from tests.unit.consumers.story import Story, Written

SHA = "0" * 64
REFERENCES = ("She walked to the old harbour.", "She went down to the port.")
ANSWER = "She walks to the harbour"


def rouge(answer: str, references: Sequence[str]) -> float:
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    return float(max(scorer.score(each, answer)["rougeL"].fmeasure for each in references))


@dataclass
class AnsweredSets(Story):
    """Answers to prompts with references, in the order they are written."""

    def answered(
        self,
        prompt: str,
        text: str = ANSWER,
        *,
        name: str = "after",
        outcome: AnswerOutcome = "answered",
        references: Sequence[str] = REFERENCES,
        group: str = "",
        of: str = "superni",
        shots: int = 0,
    ) -> Written:
        asked = Asked(prompts=of, sha256=SHA, shots=shots)
        event = AnswerGiven(
            model=model(name),
            asked=asked,
            prompt_id=prompt,
            group=group,
            instruction=f"Do {prompt}",
            input="",
            references=tuple(references),
            outcome=outcome,
            text=text if outcome in ("answered", "cut") else "",
            reason="",
            answers=(),
            cost_usd=None,
        )
        id = ids.answer_id(key(name), asked.key, prompt)
        return self.tell(event, id=id, key=id)


def test_each_outcome_is_counted_and_scored_as_it_deserves() -> None:
    story = AnsweredSets()
    story.answered("a", group="fiction")
    story.answered("b", "port", outcome="cut", group="fiction")
    story.answered("c", outcome="empty", group="facts")
    story.answered("d", outcome="refused", group="facts")
    story.answered("e", outcome="failed", group="facts")
    story.answered("f", references=(), group="facts")
    story.answered("g", "？", references=("？",), group="signs")
    story.answered("a", "A later answer to the same prompt does not count.", group="fiction")
    (found,) = generation_scores(source_of(story))

    assert found.outcomes == {"answered": 3, "cut": 1, "empty": 1, "refused": 1, "failed": 1}
    assert (found.scored, found.without_reference, found.without_tokens) == (5, 1, 1)
    scores = rouge(ANSWER, REFERENCES), rouge("port", REFERENCES)
    meteor = MeteorScorer()
    meteors = meteor.score(ANSWER, REFERENCES), meteor.score("port", REFERENCES), meteor.score("？", ["？"])
    assert found.rouge_l is not None
    assert found.meteor is not None
    assert 0 < scores[1] < scores[0] < 1
    assert found.rouge_l.value == pytest.approx(sum(scores) / 5), "empty and refused answers count as 0"
    assert found.meteor.value == pytest.approx(sum(meteors) / 5)
    assert found.rouge_l.low < found.rouge_l.value < found.rouge_l.high
    assert found.by_group == {"fiction": (2, pytest.approx(sum(scores) / 2)), "facts": (2, 0.0), "signs": (1, 0.0)}
    assert found.meteor_matching == meteor.matching


def test_models_sets_and_conditions_have_scores_of_their_own_whatever_the_order_on_the_log() -> None:
    story = AnsweredSets()
    texts = {f"p{n:02d}": f"{ANSWER} once more, and " * (n % 5) + "to the port " * n for n in range(1, 24)}
    for prompt, text in texts.items():
        story.answered(prompt, text)
    for prompt, text in reversed(texts.items()):
        story.answered(prompt, text, name="before")
        story.answered(prompt, text, shots=2)
    story.answered("a", of="longform", outcome="failed")
    story.answered("a", of="vicuna", references=())
    forward, backward, shown, failed = generation_scores(source_of(story))
    assert [(each.model, each.set, each.shots) for each in (forward, backward, shown, failed)] == [
        (key("after"), "superni", 0),
        (key("before"), "superni", 0),
        (key("after"), "superni", 2),
        (key("after"), "longform", 0),
    ], "a set without references is not of this kind"
    assert (forward.rouge_l, forward.meteor) == (backward.rouge_l, backward.meteor) == (shown.rouge_l, shown.meteor)
    assert (failed.scored, failed.rouge_l, failed.meteor, failed.outcomes) == (0, None, None, {"failed": 1})


def test_synonyms_match_where_wordnet_is_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    """In a process of its own, since nltk keeps what it found."""
    home = tmp_path / "corpora" / "wordnet"
    home.mkdir(parents=True)
    synset = "00000000 06 n 02 car 0 auto 0 000 | a vehicle  \n"
    files = {
        "data.noun": synset,
        "index.noun": "auto n 1 0 1 0 00000000  \ncar n 1 0 1 0 00000000  \n",
        "data.adj": "  1 WordNet 3.0 Copyright 2006 by nobody\n",
        "lexnames": "".join(f"{number:02d}\tnoun.kind{number}\t1\n" for number in range(45)),
    }
    for (
        name
    ) in "index.sense data.verb data.adv index.verb index.adj index.adv noun.exc verb.exc adj.exc adv.exc".split():
        files.setdefault(name, "")
    for name, text in files.items():
        if name != "lexnames":
            (home / name).write_text(text)
    program = (
        "from pathlib import Path\n"
        "from consumers.evaluation.meteor import MeteorScorer\n"
        "print(MeteorScorer().matching)\n"
        f"Path({str(home / 'lexnames')!r}).write_text({files['lexnames']!r})\n"
        "scorer = MeteorScorer()\n"
        "print(scorer.matching)\n"
        "print(scorer.score('the auto', ['the car']) > scorer.score('the boat', ['the car']) > 0)\n"
    )
    environment = {**os.environ, "NLTK_DATA": str(tmp_path)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    damaged, matching, synonyms = done.stdout.splitlines()
    assert damaged.startswith("exact, stem (WordNet") and "cannot be read" in damaged
    assert "lexnames" in damaged
    assert matching == "exact, stem, synonym (WordNet 3.0)"
    assert synonyms == "True"
