"""Devices: TensorFlow's start, its precision, memory, and the replicas that share a picture."""
