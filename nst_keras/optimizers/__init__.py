"""Optimizers of one image variable, and learning-rate schedules."""
