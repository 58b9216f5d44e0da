"""What people read when a job is done: one file, offline, from plain values."""

from striate.reporting.build import write_run_report as write_run_report
