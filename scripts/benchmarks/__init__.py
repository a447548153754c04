"""The subjects of scripts/bench.py: modules with the functions `add_arguments` and `measure`."""
