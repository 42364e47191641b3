"""What a run's log says so far, as folds that several readers share.

run_fold      the run, from all its topics; `read_fold` reads it without a group
verdicts      what became of every generated instruction
judgements    what judges made of the kept rows
counts        the numbers that the report and the status show
deduplicate   which records of a topic count: each event once
"""
