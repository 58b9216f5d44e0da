"""Synthetic images of which the whole truth is known: random scenes, shapes, textures, and the painting.

The same numbers must come out on every machine, because a digest of them is promised. So only operations are used that
IEEE 754 rounds in one way (sums, products, quotients, square roots, comparisons), element by element: no sines, whose
last bit differs from processor to processor, and no sums over many numbers, whose order does.
"""
