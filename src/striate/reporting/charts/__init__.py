"""Charts of a report as inline SVG, coloured by its style sheet."""
