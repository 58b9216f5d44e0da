"""Follow one forward pass, and read shapes, receptive fields, graph and possible changes from its record."""

from striate.tracing.calls import output_shape as output_shape
from striate.tracing.description import Description as Description
from striate.tracing.description import Row as Row
from striate.tracing.description import Totals as Totals
from striate.tracing.description import WithoutWeightSharing as WithoutWeightSharing
from striate.tracing.description import describe as describe
from striate.tracing.description import smallest_side as smallest_side
from striate.tracing.description import without_weight_sharing as without_weight_sharing
from striate.tracing.fold_plan import FoldPlan as FoldPlan
from striate.tracing.fold_plan import plan_fold as plan_fold
from striate.tracing.folding import Folding as Folding
from striate.tracing.folding import fold as fold
from striate.tracing.folding import folded_weights as folded_weights
from striate.tracing.folding import norm_line as norm_line
from striate.tracing.meta import meta_copy as meta_copy
from striate.tracing.module_graph import INPUT as INPUT
from striate.tracing.module_graph import Graph as Graph
from striate.tracing.module_graph import Node as Node
from striate.tracing.module_graph import graph as graph
from striate.tracing.operations import Window as Window
from striate.tracing.recorder import EmptyMapError as EmptyMapError
from striate.tracing.recorder import Operation as Operation
from striate.tracing.recorder import Recorder as Recorder
from striate.tracing.recorder import Value as Value
