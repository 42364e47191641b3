"""What makes processes die on purpose: a stream in memory for unit tests, real victims for the others."""
