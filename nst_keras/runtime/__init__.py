"""What every command stands on: errors, files, checkpoints, a writer thread, signals."""
