"""`README.md` of an export of answers: the data card of data hubs, with their YAML front matter."""

from collections.abc import Mapping

import yaml

from consumers.export.card import file_config, size_category
from consumers.export.manifest import MANIFEST, AnswersManifest
from consumers.markdown import plain, table
from infra.visible import visible


def answers_card(manifest: AnswersManifest) -> str:
    """The card of an export whose manifest lists all data files."""
    series = [
        (
            one.name,
            one.model,
            "yes" if one.system else "no",
            f"{one.shots}",
            one.template or "unknown",
            _counted(one.sets),
            _counted(one.outcomes),
        )
        for one in manifest.series
    ]
    columns = ("file part", "model", "system prompt", "shots", "template", "sets", "outcomes")
    sections = [
        f"---\n{_front_matter(manifest)}---",
        f"# Answers of models on run {plain(manifest.run)}",
        "Answers of language models to sets of prompts, for an evaluation. Their truth is unchecked.",
        table(("", ""), [("run", manifest.run), ("answers", f"{manifest.answers:,}")]),
        "## Models and conditions",
        table(columns, series),
        "Answers that were refused or failed have no text, and stand in `answers.jsonl` only, if that is here.",
        "## Files",
        table(("file", "rows", "bytes"), ((file.name, f"{file.rows:,}", f"{file.bytes:,}") for file in manifest.files)),
        f"`{MANIFEST}` has each file's SHA-256 and the covered offsets; `sedi export --verify FOLDER` checks them.",
    ]
    return visible("\n\n".join(sections) + "\n")


def _front_matter(manifest: AnswersManifest) -> str:
    fields = {
        "pretty_name": f"Answers of models on run {manifest.run}",
        "license": manifest.options.license,
        "task_categories": ["text-generation"],
        "tags": ["evaluation"],
        "size_categories": [size_category(manifest.answers)],
        "configs": [file_config(file, default=place == 0) for place, file in enumerate(manifest.files)],
    }
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _counted(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items())
