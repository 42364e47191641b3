"""A run's log as an index on disk, for pages that look things up: a fold, so it can be deleted and built again.

tables        the tables of the SQLite file
writer        one record of the log as rows of the tables
run_index     one run's index: the fold and the tables, applied up to the same offsets
follow        reads a log into its index, and goes on
rows          looks up generated instructions: filters, facets, search, paging
log_lines     looks up records by offset, and what came after a position
series        looks up calls, steps and seed scores, thinned out for a plot
"""
