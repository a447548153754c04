"""The subjects of `scripts/bench.py`: modules with `add_arguments` and `measure`."""
