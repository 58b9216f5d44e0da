"""Charts as inline SVG in the page's own colours, so that they follow it onto paper and into the dark."""
