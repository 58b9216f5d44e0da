"""Verbs: one module, one typed function each, for the command line and Python alike.

A verb runs a whole job, prints nothing, and reports its progress by `progress`. Verbs that train also yield events.
"""
