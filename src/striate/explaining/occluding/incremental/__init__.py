"""Incremental occlusion: recompute only the values that a patch can reach, from those of the clean image."""

from striate.explaining.occluding.incremental.model import Incremental as Incremental
from striate.explaining.occluding.incremental.recording import UntraceableError as UntraceableError
