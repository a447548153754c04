"""Scales times steps: from settings and pictures to a stream of iterates. Knows no folder."""
