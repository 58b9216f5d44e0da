"""Sections of a run's report: functions of its material that return None where there is nothing to show."""
