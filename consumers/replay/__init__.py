"""Deciding a run again from its log: the audit, the state at any time, and what other settings would have decided."""

from consumers.replay.auditing import Audit, Extent, audit

__all__ = ["Audit", "Extent", "audit"]
