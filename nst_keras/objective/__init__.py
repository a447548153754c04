"""Statistics that are sums over positions, the loss terms made of them, and their gradient."""
