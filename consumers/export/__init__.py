"""A run's kept rows as data sets: files that training programs read, with the lineage of every row."""
