"""Several runs next to each other: what was set, how they trained, and what they scored."""
