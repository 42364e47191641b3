"""Recorded runs, kept forever: every later version must read them and decide the same.

    undisturbed     a run that ended in order: refits, windows, seeds replaced and shown, rejections of every reason
    interrupted     a run whose worker, generator and trainer were killed repeatedly; it has duplicates
    dead-letters    a run with unreadable records, and their dead letters

Each is an archive (`infra.log.archive`) as `sedi archive` writes it, made by `python -m tests.golden.record` with a
real broker, worker, generator and trainer. Add new ones when the format grows; these are never recorded again.
`found.json` has the audit of each when it was recorded. `tests.golden.edits` edits a log, `tests.golden.faults` lists
edits with the expected findings of an audit.
"""

from pathlib import Path

HERE = Path(__file__).parent
NAMES = ("undisturbed", "interrupted", "dead-letters")
