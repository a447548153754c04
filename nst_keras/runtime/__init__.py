"""The basis of every command: errors, files, checkpoints, a writer thread, signals, console."""
