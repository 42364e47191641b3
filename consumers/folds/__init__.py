"""Folds of a run's log that several readers share.

run_fold      the run, from all its topics; `read_fold` reads it
verdicts      the verdict on every generated instruction
judgements    judges' scores of the kept rows
counts        the numbers of the report and the status
documents     which documents are withdrawn
yield_curve   how the yield falls, fitted by one of `yield_forms`
deduplicate   which events of a topic count
"""
