"""Blocks of networks that are useful on their own."""

from striate.layers.init import he_ as he_
from striate.layers.init import xavier_ as xavier_
