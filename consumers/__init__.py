"""Readers of the log.

trainer    trains on kept rows, and writes training windows to the log
folds      folds and rules that several readers share
replay     decides everything again, and compares
explain    the story of a row, a seed, a generation or a request
export     kept rows as data sets
compare    runs side by side
status, report, tail, dead_letters, seed_table   a run's state now, its numbers, events, dead letters and seeds
"""
