"""Weights that others have trained, put into our networks: one small file of rules for each source."""

from striate.models.weights.load import load_weights as load_weights
from striate.models.weights.resnet_cifar import resnet_cifar as resnet_cifar
