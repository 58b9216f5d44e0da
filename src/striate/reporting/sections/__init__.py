"""The parts of a run's report, each a function of the run's material; None where there is nothing to show."""
