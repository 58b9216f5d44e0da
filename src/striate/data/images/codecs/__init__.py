"""What each file format needs; `striate.data.images.decode` is the one door to them."""
