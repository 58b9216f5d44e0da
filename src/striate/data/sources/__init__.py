"""Sources of labelled images: one module for each kind; `striate.data.sources.opening` selects among them."""
