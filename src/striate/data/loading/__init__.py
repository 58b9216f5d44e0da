"""Batches for training and evaluation, and the caches behind them."""
