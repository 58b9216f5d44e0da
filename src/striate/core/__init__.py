"""Types and functions shared by every other package."""
