"""Where it computes: TensorFlow's start, precision, memory, replicas."""
