"""One verb, one module, one typed function: each composes a whole job, prints nothing, and yields its events."""
