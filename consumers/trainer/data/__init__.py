"""From rows to batches of tokens.

log_feed          rows off a live log; `archive_feed`: from an archive or memory; `offline`, `row_file`: from files
score_threshold   holds rows back until a judge's score is there
templates         a row as tokens, prompt and response
tokenize_ahead    tokenizes the next rows while a step is computed
batches           rows into batches, the same plan on every rank
"""
