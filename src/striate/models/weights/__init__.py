"""Pretrained weights: find, read, recognise and convert them, and copy them into a network."""

from striate.models.weights.adapt import build_pretrained as build_pretrained
from striate.models.weights.dialects import DIALECTS as DIALECTS
from striate.models.weights.dialects import Dialect as Dialect
from striate.models.weights.dialects import recognise as recognise
from striate.models.weights.files import WeightsFile as WeightsFile
from striate.models.weights.files import read_file as read_file
from striate.models.weights.load import load_weights as load_weights
from striate.models.weights.pretrained import Pretrained as Pretrained
from striate.models.weights.pretrained import is_published as is_published
from striate.models.weights.pretrained import pretrained as pretrained
