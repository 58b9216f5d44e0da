"""Convert a decoded image to the input of a model."""
