"""Occlusion: the change of the score when a patch covers part of the image."""
