"""The command line: parse arguments, call a verb, show its result."""
