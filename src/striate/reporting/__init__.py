"""Reports, sheets and inspection pages: self-contained files about a trained model."""

from striate.reporting.build import write_run_report as write_run_report
