"""Look at a data set before training: readability, statistics, duplicates, warnings."""
