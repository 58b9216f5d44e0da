"""From files to batches: reading, judging, splitting, preparing and loading pictures."""
