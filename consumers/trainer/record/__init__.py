"""What a training records while it runs.

window_log       steps into windows on the run's `training-log`
metrics          `metrics.jsonl`; `tensorboard`: the same as event files; `curves`: as a picture
reporting        writes them all, and evaluates held-out rows
session_counts   what this session did
output_capture   what libraries print, into a file
"""
