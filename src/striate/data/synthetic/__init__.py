"""Synthetic images with complete ground truth: random scenes, shapes, textures, and their painting.

The same numbers must result on every machine, because their digest is fixed. Only operations are used that IEEE 754
rounds in one way (sums, products, quotients, square roots, comparisons), element by element: no sines, whose last bit
differs between processors, and no sums over many numbers, which depend on the order.
"""
