"""Batches for training and evaluation, and the caches that they read."""
