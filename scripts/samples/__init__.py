"""Paints the sample pictures; see scripts/paint_samples.py."""
