"""Where data, model and training are put together: every choice of a run, and the run itself."""
