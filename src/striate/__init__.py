"""Striate trains convolutional networks on your pictures, shows why they decide, and ships them."""
