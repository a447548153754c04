"""The live page of a run: what it shows, what it can ask of the run, and its server."""
