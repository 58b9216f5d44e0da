"""Decode image files and encode pixels."""
