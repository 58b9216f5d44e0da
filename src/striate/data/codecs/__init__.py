"""What each file format needs; `striate.data.decode` is the one door to them."""
