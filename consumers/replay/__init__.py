"""Deciding a run again from its log: the audit, the state at any time, and what other settings would have decided."""

from consumers.replay.extent import AuditExtent
from consumers.replay.parallel import audit
from consumers.replay.result import Audit

__all__ = ["Audit", "AuditExtent", "audit"]
