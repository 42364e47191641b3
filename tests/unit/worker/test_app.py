"""The tables are looked through once after a recovery, not every time that the worker's clock ticks."""

from types import SimpleNamespace
from typing import Any

from streams.worker.app import Worker


def test_tables_are_mended_once_after_each_recovery_and_only_when_all_is_recovered() -> None:
    written: list[str] = []
    cursors: dict[str, Any] = {name: SimpleNamespace(active=False) for name in ("generated", "training-log")}
    tables: Any = SimpleNamespace(
        mend_scores=lambda: written.append("scores"), show=lambda: written.append("seeds")
    )  # both the filter and the seeds
    worker = Worker(None, tables, tables, cursors)  # type: ignore[arg-type]

    cursors["generated"].active = True
    worker.mend()
    assert written == []

    cursors["training-log"].active = True
    worker.mend()
    worker.mend()
    assert written == ["scores", "seeds"]

    worker.mended = False  # as a recovery leaves it
    worker.mend()
    assert written == ["scores", "seeds"] * 2
