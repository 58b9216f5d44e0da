"""Optimizers, without weight decay of biases and normalizations."""

from striate.training.optimizers.adaptive import Adadelta as Adadelta
from striate.training.optimizers.adaptive import Adagrad as Adagrad
from striate.training.optimizers.adaptive import Adam as Adam
from striate.training.optimizers.adaptive import AdamW as AdamW
from striate.training.optimizers.adaptive import RMSProp as RMSProp
from striate.training.optimizers.descent import SAM as SAM
from striate.training.optimizers.descent import SGD as SGD
from striate.training.optimizers.lamb import LAMB as LAMB
from striate.training.optimizers.muon import Muon as Muon
from striate.training.optimizers.settings import OPTIMIZERS as OPTIMIZERS
from striate.training.optimizers.settings import Groups as Groups
from striate.training.optimizers.settings import LayerRate as LayerRate
from striate.training.optimizers.settings import OptimizerSettings as OptimizerSettings
from striate.training.optimizers.settings import split_parameters as split_parameters
