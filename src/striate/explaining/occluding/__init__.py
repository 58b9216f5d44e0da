"""Occlusion: how the score changes where a patch covers the image."""
