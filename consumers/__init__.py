"""What reads the log.

trainer    trains on kept rows, and puts windows on the log
folds      what several readers share
replay     decides everything again, and compares
explain    the story of a row, a seed, a generation or a request
export     kept rows as data sets
compare    runs side by side
status, report, tail, dead_letters, seed_table   a run at this moment, its numbers, its events, its faults, its seeds
"""
