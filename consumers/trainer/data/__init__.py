"""From rows to batches of tokens.

log_feed          rows of a live log; `archive_feed`: of an archive or in memory; `offline`, `row_file`: of files
score_threshold   holds rows back until a judge has scored them
tokenize_ahead    tokenizes the next rows while a step runs
batches           rows into batches, with the same plan on every rank
"""
