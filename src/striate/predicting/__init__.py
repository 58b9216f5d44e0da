"""Predict for very many images: in bounded memory, resumable, on this machine or on a cluster."""

from striate.predicting.cluster import Cluster
from striate.predicting.images import ListedImage
from striate.predicting.job import Written
from striate.predicting.write import write_predictions

__all__ = ["Cluster", "ListedImage", "Written", "write_predictions"]
