"""Sheets that show one image each: explanations, attacks and neighbours."""
