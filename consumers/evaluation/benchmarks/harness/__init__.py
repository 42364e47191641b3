"""Task files of lm-evaluation-harness, for questions as `tasks.SourceQuestion` holds them, one JSON object a line."""
