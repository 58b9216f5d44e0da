"""Why a network decides, what its units want, how it is fooled: on any `nn.Module`.

An explanation is a function `(model, images, target, …)` that gives a typed result and returns the model as found.
"""

from striate.explaining.attribution import Attribution as Attribution
from striate.explaining.gradient import saliency as saliency
from striate.explaining.method import METHODS as METHODS
from striate.explaining.method import Method as Method
from striate.explaining.target import Target as Target
from striate.explaining.target import TargetError as TargetError
