"""Occlusion that computes again only what a patch can reach, from the kept activations of the clean picture."""

from striate.explaining.occluding.incremental.model import Incremental as Incremental
from striate.explaining.occluding.incremental.recording import UntraceableError as UntraceableError
