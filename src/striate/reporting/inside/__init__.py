"""Where a classifier meets its explanations: pictures with maps over them, what units want, what fools it."""
