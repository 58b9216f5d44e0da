"""The zoo: one paper, one file; and what a network is made of."""

from striate.models import densenet as densenet
from striate.models import lenet5 as lenet5
from striate.models import linear as linear
from striate.models import mlp as mlp
from striate.models import senet as senet
from striate.models import tiny_vgg as tiny_vgg
from striate.models._create import create_model as create_model
from striate.models._create import sketch_model as sketch_model
from striate.models._zoo import MODELS as MODELS
from striate.models._zoo import Builder as Builder
from striate.models._zoo import ModelCard as ModelCard
from striate.models._zoo import Network as Network
from striate.models._zoo import Published as Published
from striate.models._zoo import list_models as list_models
from striate.models.describe import Description as Description
from striate.models.describe import Row as Row
from striate.models.describe import Totals as Totals
from striate.models.describe import Unshared as Unshared
from striate.models.describe import describe as describe
from striate.models.describe import unshared as unshared
