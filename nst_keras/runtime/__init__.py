"""The basis of every command: errors, exit status, files, checkpoints, writer thread, progress."""
