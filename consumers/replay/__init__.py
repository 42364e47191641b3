"""Decide a run again from its log: the audit, the state at any time, and the decisions of other settings."""

from consumers.replay.extent import AuditExtent
from consumers.replay.parallel import audit
from consumers.replay.result import Audit

__all__ = ["Audit", "AuditExtent", "audit"]
