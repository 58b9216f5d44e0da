"""Pictures from arrays: no torch, no network, only numbers and the bytes of a PNG, JPEG or SVG."""

from striate.plot.colormap import AMOUNT as AMOUNT
from striate.plot.colormap import SIGNED as SIGNED
from striate.plot.colormap import Colormap as Colormap
from striate.plot.colormap import signed as signed
from striate.plot.pixels import jpeg as jpeg
from striate.plot.pixels import png as png
from striate.plot.sheet import filter_pictures as filter_pictures
from striate.plot.sheet import sheet as sheet
