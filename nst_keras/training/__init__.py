"""Trains a VGG on labeled pictures; `network` reads its weights."""
