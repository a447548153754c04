"""Interrupts runs at random moments; see scripts/soak.py."""
