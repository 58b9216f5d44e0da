"""One module for each file format; `striate.data.images.decode` is their only entry point."""
