"""The tables of an index, one SQLite file a run.

Every table but `meta` and `checkpoint` can be written twice with the same outcome, so after a crash the records since
the last checkpoint are simply applied again.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NONE = {"reason": "", "cluster": -1, "model": "", "producer": ""}
"""What stands for NULL in a key of `counted`, the number of rows by all facets at once; triggers keep it."""

_KEY = "outcome = {0}.outcome AND " + " AND ".join(
    f"{name} = ifnull({{0}}.{name}, {none!r})" for name, none in NONE.items()
)
_GOES = f"""
UPDATE counted SET rows = rows - 1 WHERE {_KEY.format("old")};
DELETE FROM counted WHERE rows = 0 AND {_KEY.format("old")};
"""
_COMES = f"""
INSERT INTO counted VALUES (new.outcome, {", ".join(f"ifnull(new.{name}, {none!r})" for name, none in NONE.items())}, 1)
ON CONFLICT (outcome, reason, cluster, model, producer) DO UPDATE SET rows = rows + 1;
"""

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), positions BLOB NOT NULL, fold BLOB NOT NULL);
CREATE TABLE record (
    topic TEXT, part INTEGER, at INTEGER, ms INTEGER, type TEXT, id TEXT, key TEXT, summary TEXT, error TEXT,
    repeated INTEGER, PRIMARY KEY (topic, part, at)
) WITHOUT ROWID;
CREATE TABLE generation (
    at INTEGER PRIMARY KEY, id TEXT, lane TEXT, number INTEGER, style TEXT, producer TEXT, backend TEXT, model TEXT,
    instructions INTEGER, unparsed INTEGER, cost REAL, ms INTEGER, counted INTEGER
);
CREATE INDEX generation_number ON generation (lane, number);
CREATE TABLE shown (seed TEXT, at INTEGER, PRIMARY KEY (seed, at)) WITHOUT ROWID;
CREATE INDEX shown_at ON shown (at);
CREATE TABLE row (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, at INTEGER, place INTEGER, generation TEXT,
    instruction TEXT NOT NULL DEFAULT '', input TEXT NOT NULL DEFAULT '', output TEXT NOT NULL DEFAULT '',
    outcome TEXT NOT NULL DEFAULT 'undecided', reason TEXT, similarity REAL, nearest TEXT, threshold REAL,
    cluster INTEGER, model TEXT, producer TEXT, answered INTEGER, unused TEXT
);
CREATE INDEX row_place ON row (at, place);
CREATE INDEX row_outcome ON row (outcome, at, place);
CREATE INDEX row_reason ON row (reason, at, place) WHERE reason IS NOT NULL;
CREATE INDEX row_producer ON row (producer, at, place);
CREATE INDEX row_cluster ON row (cluster, at, place) WHERE cluster IS NOT NULL;
CREATE INDEX row_model ON row (model, at, place);
CREATE INDEX row_generation ON row (generation);
CREATE TABLE counted (
    outcome TEXT, reason TEXT, cluster INTEGER, model TEXT, producer TEXT, rows INTEGER NOT NULL,
    PRIMARY KEY (outcome, reason, cluster, model, producer)
) WITHOUT ROWID;
CREATE TRIGGER row_comes AFTER INSERT ON row BEGIN {comes} END;
CREATE TRIGGER row_changes AFTER UPDATE OF outcome, reason, cluster, model, producer ON row BEGIN {goes} {comes} END;
CREATE TRIGGER row_goes AFTER DELETE ON row BEGIN {goes} END;
CREATE TABLE judged (row TEXT, judge TEXT, score REAL, least REAL, most REAL, reason TEXT, PRIMARY KEY (row, judge))
    WITHOUT ROWID;
CREATE TABLE seed_point (seed TEXT, at INTEGER, generated INTEGER, kept INTEGER, PRIMARY KEY (seed, at)) WITHOUT ROWID;
CREATE TABLE decided (at INTEGER PRIMARY KEY, ms INTEGER, generated_total INTEGER, kept_total INTEGER);
CREATE TABLE call (
    request TEXT, attempt INTEGER, started_ms INTEGER, ended_ms INTEGER, generation TEXT, lane TEXT, step INTEGER,
    model TEXT, outcome TEXT NOT NULL DEFAULT 'open', status INTEGER, error TEXT, retry INTEGER, latency_s REAL,
    prompt_tokens INTEGER, completion_tokens INTEGER, cost REAL, PRIMARY KEY (request, attempt)
) WITHOUT ROWID;
CREATE INDEX call_started ON call (started_ms);
CREATE INDEX call_ended ON call (ended_ms);
CREATE INDEX call_latency ON call (latency_s) WHERE latency_s IS NOT NULL;
CREATE INDEX call_failed ON call (status) WHERE outcome = 'failed';
CREATE TABLE step (
    epoch INTEGER, step INTEGER, window INTEGER, loss REAL, grad_norm REAL, learning_rate REAL, tokens INTEGER,
    seconds REAL, ms INTEGER, PRIMARY KEY (epoch, step)
) WITHOUT ROWID;
CREATE TABLE answer_to_window (
    epoch INTEGER, window INTEGER, at INTEGER, ms INTEGER, outcome TEXT, metric TEXT, step INTEGER, value REAL,
    candidates INTEGER, replacements INTEGER, PRIMARY KEY (epoch, window)
) WITHOUT ROWID;
"""

_TEXT_INDEX = "CREATE VIRTUAL TABLE row_text USING fts5 (instruction, tokenize = 'trigram')"
_PLAIN_TEXT = "CREATE TABLE row_text (rowid INTEGER PRIMARY KEY, instruction TEXT)"


def create(file: Path) -> sqlite3.Connection:
    """A new, empty index in the place of any other; open for writing, by any thread, one at a time."""
    for path in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        path.unlink(missing_ok=True)
    writing = open_for_writing(file)
    writing.executescript(_TABLES.replace("{comes}", _COMES).replace("{goes}", _GOES))
    try:
        writing.execute(_TEXT_INDEX)
    except sqlite3.OperationalError:  # an older SQLite, or one without FTS5: searching reads every text
        writing.execute(_PLAIN_TEXT)
    writing.commit()
    return writing


def open_for_writing(file: Path) -> sqlite3.Connection:
    """Open an index that is there, or an empty file. Raises sqlite3.Error when it is no SQLite file."""
    writing = sqlite3.connect(file, check_same_thread=False)
    try:
        writing.execute("PRAGMA journal_mode = WAL")
        writing.execute("PRAGMA synchronous = NORMAL")
        writing.execute("PRAGMA cache_size = -32768")
    except BaseException:
        writing.close()
        raise
    return writing


@contextmanager
def reading(file: Path) -> Iterator[sqlite3.Connection]:
    """The index as it was last committed; nothing can be written."""
    connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        yield connection
    finally:
        connection.close()


def has_text_index(connection: sqlite3.Connection) -> bool:
    """Whether texts are searched by trigrams; else every one is read."""
    found = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'row_text'").fetchone()
    return found is not None and "VIRTUAL" in found[0]
