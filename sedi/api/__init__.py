"""What `import sedi` gives: a run opened for reading, as data frames and as answers, and a run started from Python.

opened     a run, on a cluster or in an archive
frames     its log as polars data frames
columns    their columns and types
running    `sedi run` from Python
"""
