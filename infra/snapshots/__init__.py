"""Snapshots: the state of a fold of a run's log in a file, with the records that it covers, so that a reader goes on.

own_data    a state as bytes, read back without running anything; the digest of the code that makes it
coverage    what of each partition a state covers, and whether a log still has that
files       one file: whole or not used, replaced at once
following   reads a log to its end from a snapshot, and follows it

A snapshot saves time and decides nothing. It is used only if the code that made it is the same, and the log has the
same first record of the run and, where it ends in each partition, the same last record. Otherwise the log is read from
the start (docs/decisions/snapshots.md).
"""
