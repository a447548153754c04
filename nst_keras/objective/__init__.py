"""Statistics that are sums over positions, the terms made of them, and their gradient."""
