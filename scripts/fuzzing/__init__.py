"""Damages files and reads them; see scripts/fuzz.py."""
