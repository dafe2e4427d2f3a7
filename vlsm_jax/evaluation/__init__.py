"""Evaluation of generated scripts: predictions on disk, a summary, and a report for people."""
