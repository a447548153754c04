"""What `scripts/bench.py` measures: one module a command, each with `add_arguments`, `measure`."""
