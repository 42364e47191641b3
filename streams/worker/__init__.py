"""The Faust app around the core: agents, tables, recovery."""
