"""The Faust app around the core: agents, tables and recovery.

main, app           runs a run's worker; wires its agents and tables
filter, feedback    the agents
releases            what the filter compares with no more
cursor, outlet      how they read, in order and without gaps, and how they write
dead_letter_limit   when unreadable records stop the worker
inspector           checks the topics that no agent reads
"""
