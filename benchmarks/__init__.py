"""Measurements: against other libraries (``python -m benchmarks``), and of the parts alone."""
