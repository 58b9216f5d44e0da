"""The zoo, and functions that build a network by its name."""

from striate.models import families as families
from striate.models._create import Arguments as Arguments
from striate.models._create import build_model as build_model
from striate.models._create import build_sketch as build_sketch
from striate.models._create import check_model as check_model
from striate.models._create import create_model as create_model
from striate.models._create import default_input as default_input
from striate.models._create import meta_model as meta_model
from striate.models._create import split_place as split_place
from striate.models._own import OWN_MODELS as OWN_MODELS
from striate.models._own import ModelSource as ModelSource
from striate.models._own import register_model as register_model
from striate.models._own import registered as registered
from striate.models._zoo import MODELS as MODELS
from striate.models._zoo import Builder as Builder
from striate.models._zoo import ModelCard as ModelCard
from striate.models._zoo import Network as Network
from striate.models._zoo import Published as Published
from striate.models._zoo import list_models as list_models
from striate.models.surgery import freeze as freeze
from striate.models.surgery import layer_groups as layer_groups
from striate.models.surgery import replace_head as replace_head
from striate.models.surgery import thaw as thaw
from striate.models.truncated import truncate as truncate
