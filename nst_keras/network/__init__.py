"""VGG as data, as arrays, and as a Keras model of features."""
