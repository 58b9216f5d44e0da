"""Occlusion that recomputes only what a patch can reach, from the activations of the clean image."""

from striate.explaining.occluding.incremental.model import Incremental as Incremental
from striate.explaining.occluding.incremental.recording import UntraceableError as UntraceableError
