"""Read, audit, split, prepare and load images: from files to batches."""
