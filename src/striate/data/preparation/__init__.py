"""Turn a decoded image into the input of a network."""
