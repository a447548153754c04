"""Every option, declared once; presets; flags and flagfiles. Imports no TensorFlow."""
