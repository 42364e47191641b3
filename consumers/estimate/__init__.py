"""What a run will cost, from what it or a preview of it has measured so far."""
