"""Sheets that join an image with its explanation, an attack or its neighbours."""
