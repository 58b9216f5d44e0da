"""The vocabulary that every other package speaks, and nothing else."""
