"""What a training records while it runs.

window_log       steps into windows on the run's `training-log`
metrics          `metrics.jsonl`; `tensorboard`: the same as event files; `curves`: as a picture
reporting        writes these, and evaluates the held-out loss
session_counts   counts of one session
output_capture   writes what libraries print into a file
"""
