"""The command line: parses, shows, and holds no logic."""
