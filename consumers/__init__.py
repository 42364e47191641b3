"""What reads the log: trainer, tail, report, status."""
