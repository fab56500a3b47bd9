"""Comparisons with other libraries (``python -m benchmarks``), and measurements of single parts."""
