"""`README.md` of an export: the data card of data hubs, with their YAML front matter."""

from pathlib import PurePath

import msgspec
import yaml

from consumers.export.formats import TEXT_FORMATS
from consumers.export.manifest import MANIFEST, Added, ExportFile, ExportManifest, LeftOutWithDocuments
from consumers.export.totals import ExportTotals
from consumers.markdown import plain, table, value
from infra.visible import visible
from schemas.events import RunConfigured

CARD = "README.md"
_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")


def size_category(rows: int) -> str:
    """The hub's size category for so many rows: `n<1K`, `1K<n<10K`, ..., `n>1T`."""
    place = sum(rows >= 10**power for power in range(3, 3 + len(_SIZES)))
    if place == 0:
        return f"n<{_SIZES[0]}"
    return f"n>{_SIZES[-1]}" if place == len(_SIZES) else f"{_SIZES[place - 1]}<n<{_SIZES[place]}"


def card(manifest: ExportManifest, configured: RunConfigured, totals: ExportTotals) -> str:
    """The card of an export whose manifest lists all data files."""
    run, policy = manifest.run, configured.policy
    models = ", ".join(f"{name} ({number:,} generations)" for name, number in _ranked(totals.models))
    cost = f"{totals.known_usd:.6f} USD" if not totals.without_cost else "unknown"
    facts = [
        ("run", run),
        ("covers", f"the decided generations up to offset {manifest.through} of `generated`"),
        ("first generation, last verdict", f"{manifest.first_time or '–'}, {manifest.last_time or '–'}"),
        ("mode", policy.mode),
        ("models", models or "none"),
        ("seeds at the start", f"{len(configured.seeds):,}"),
        ("generations", f"{totals.generations:,}"),
        ("cost of these generations", cost),
        ("instructions generated", f"{totals.generated:,}"),
        ("kept", f"{totals.kept.total():,}"),
        ("rejected", f"{totals.rejected.total():,}"),
        ("yield", "–" if totals.kept_share is None else f"{totals.kept_share:.2%}"),
        ("rows here", f"{manifest.rows:,}"),
    ]
    added = None if isinstance(manifest.added, msgspec.UnsetType) else manifest.added
    if added is not None:
        facts.append(("of them of this run", f"{added.run_rows:,}; the rest is added (Sources)"))
    if manifest.options.clusters is not None:
        facts.append(("clusters here", ", ".join(map(str, manifest.options.clusters))))
    if manifest.excluded is not None:
        facts.append(("left out by id", f"{manifest.excluded.rows:,} rows"))
    withdrawn = manifest.withdrawn
    if not isinstance(withdrawn, msgspec.UnsetType):
        facts += [
            ("withdrawn documents", f"{withdrawn.documents:,}, up to offset {withdrawn.through} of `documents`"),
            *_elsewhere(withdrawn),
            ("left out with their document", f"{withdrawn.rows:,} rows"),
        ]
    unanswered = manifest.unanswered
    if not isinstance(unanswered, msgspec.UnsetType):
        answered = ", ".join(f"{name} ({number:,} answers)" for name, number in _ranked(totals.answer_models))
        facts += [
            ("models that answered", answered or "none"),
            ("cost of these answers", f"{totals.answer_usd:.6f} USD" if not totals.answers_without_cost else "unknown"),
            ("left out without an answer yet", f"{unanswered.waiting:,} rows"),
            *((f"left out, answer not used: {why}", f"{n:,} rows") for why, n in _ranked(unanswered.unused)),
        ]
    withheld = manifest.withheld
    if not isinstance(withheld, msgspec.UnsetType):
        facts += [
            ("judge", withheld.judge),
            ("least score here", f"{withheld.min_score:g}"),
            ("left out for their score", f"{withheld.below:,} rows"),
            ("left out without a score", f"{withheld.unreadable:,} rows unreadable, {withheld.unjudged:,} not judged"),
        ]
    clusters = [(n, f"{totals.kept[n]:,}", f"{totals.exported[n]:,}") for n in range(policy.clusters)]
    sections = [
        f"---\n{_front_matter(manifest)}---",
        f"# Instruction data of run {plain(run)}",
        "Instructions, inputs and answers written by a language model and chosen by a filter that rejected those which "
        "are too similar or break a rule. The truth of the answers is unchecked.",
        table(("", ""), facts),
        *([] if added is None else _sources(run, added)),
        "## Rejected",
        table(("reason", "instructions"), ((reason, f"{number:,}") for reason, number in _ranked(totals.rejected))),
        "## Clusters",
        table(("cluster", "kept", "rows here"), clusters),
        "## Policy",
        table(("setting", "value"), ((name, value(setting)) for name, setting in msgspec.to_builtins(policy).items())),
        "## Files",
        table(("file", "rows", "bytes"), ((file.name, f"{file.rows:,}", f"{file.bytes:,}") for file in manifest.files)),
        "All have the same rows in the same order, in which they were decided. The same line of "
        f"`{TEXT_FORMATS['lineage'].file}` holds a row's lineage: its generation and place there, cluster, model, "
        f"seeds, calls and cost. `{MANIFEST}` has each file's SHA-256 and the covered offsets; `sedi export --verify "
        "FOLDER` checks them.",
    ]
    return visible("\n\n".join(sections) + "\n")


def _elsewhere(withdrawn: LeftOutWithDocuments) -> list[tuple[str, str]]:
    number = withdrawn.elsewhere
    return [] if isinstance(number, msgspec.UnsetType) else [("withdrawn in another run here", f"{number:,} documents")]


def _sources(run: str, added: Added) -> list[str]:
    """The section on where the rows come from."""
    similar = "" if added.with_threshold is None else f", or its instruction more similar than {added.with_threshold:g}"
    rows: list[tuple[str, ...]] = [(run, "run", "", "", "", "", f"{added.run_rows:,}", "")]
    for one in added.runs:
        left = f"{one.kept - one.rows - one.duplicates - one.similar:,}"
        rows.append(
            (one.origin, "run", f"{one.kept:,}", left, f"{one.duplicates:,}", f"{one.similar:,}", f"{one.rows:,}", "")
        )
    for file in added.files:
        counts = file.file_rows, file.without_output, file.duplicates, file.similar, file.rows
        rows.append((file.origin, "file", *(f"{number:,}" for number in counts), file.sha256))
    head = ("source", "kind", "rows", "left out", "equal to an earlier row", "too similar", "rows here", "SHA-256")
    return [
        "## Sources",
        table(head, rows),
        "The rows of a source follow those of the one above it. Left out are a run's rows of documents that any of the "
        "runs has withdrawn and those below a least score, and a file's rows without an output; then each row that is "
        f"the same task as an earlier one{similar}. Nothing else is known of a file's rows: they were neither filtered "
        "nor judged here, and come under the licence of their file.",
    ]


def _front_matter(manifest: ExportManifest) -> str:
    fields = {
        "pretty_name": f"Instruction data of run {manifest.run}",
        "license": manifest.options.license,
        "task_categories": ["text-generation"],
        "tags": ["instruction-tuning", "synthetic"],
        "size_categories": [size_category(manifest.rows)],
        "configs": [file_config(file, default=place == 0) for place, file in enumerate(manifest.files)],
    }
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def file_config(file: ExportFile, *, default: bool) -> dict[str, object]:
    """How hubs find a file's rows."""
    name = PurePath(file.name).stem
    config: dict[str, object] = {"config_name": name, "data_files": [{"split": "train", "path": file.name}]}
    return {**config, "default": True} if default else config


def _ranked(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
