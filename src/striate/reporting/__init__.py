"""What people read when a job is done: one file, offline, from plain values."""
