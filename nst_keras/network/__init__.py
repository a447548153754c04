"""VGG as data, as arrays of weights, and as a Keras model of features."""
