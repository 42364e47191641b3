"""Recorded runs, kept for ever: what was written once must be read, and decide the same, by every later version.

    undisturbed     a run that ended in order: refits, windows, seeds replaced and shown, rejections of every reason
    interrupted     one whose worker, generator and trainer were killed again and again; repeats stand on it
    dead-letters    one onto which others wrote what cannot be read, and what became of that

Each is an archive (`infra.log.archive`) as `sedi archive` writes it, made by `python -m tests.golden.record` with a
real broker, worker, generator and trainer. Add new ones beside them when the format grows; these are not made again.
`found.json` is what an audit said of each when it was recorded.
`tests.golden.edits` changes a log in one place, `tests.golden.faults` lists such changes with what an audit must say.
"""

from pathlib import Path

HERE = Path(__file__).parent
NAMES = ("undisturbed", "interrupted", "dead-letters")
