"""Runs the steps of every scale: from settings and pictures to iterates. Knows no folder."""
