"""A Keras model in, a smaller or plainer one out."""
