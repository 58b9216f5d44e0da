"""Serve trained classifiers over HTTP: dynamic batching, limits, metrics, and replacement while requests go on."""

from striate.serving.exported import ExportedModel as ExportedModel
from striate.serving.hosting import Model as Model
from striate.serving.hosting import Source as Source
from striate.serving.limits import Limits as Limits
from striate.serving.log import Log as Log
from striate.serving.refusal import Refusal as Refusal
from striate.serving.server import serve as serve
