"""Pictures from arrays: no torch, no network, only numbers and the bytes of a PNG, JPEG or SVG."""

from striate.plot.colormap import AMOUNT as AMOUNT
from striate.plot.colormap import SIGNED as SIGNED
from striate.plot.colormap import Colormap as Colormap
from striate.plot.colormap import signed as signed
from striate.plot.confusion import confusion as confusion
from striate.plot.curves import curves as curves
from striate.plot.figure import figure_png as figure_png
from striate.plot.figure import figure_svg as figure_svg
from striate.plot.network import Box as Box
from striate.plot.network import network as network
from striate.plot.pixels import jpeg as jpeg
from striate.plot.pixels import png as png
from striate.plot.reliability import reliability as reliability
from striate.plot.sheet import filter_pictures as filter_pictures
from striate.plot.sheet import sheet as sheet
from striate.plot.tradeoff import Point as Point
from striate.plot.tradeoff import tradeoff as tradeoff
