"""Look into any network while it runs: three context managers, on which every explanation is built.

`borrow` borrows a model and restores it as found; `capture` keeps the activations of named places and their gradients;
`rewrite` changes the gradient that ReLUs pass backward. `operations` lists the places of a forward pass, `listing`
those of a pass within a block.
"""

from striate.hooks._borrow import borrow as borrow
from striate.hooks._capture import Captured as Captured
from striate.hooks._capture import Reached as Reached
from striate.hooks._capture import capture as capture
from striate.hooks._compiled import eager as eager
from striate.hooks._compiled import eagerly as eagerly
from striate.hooks._names import operation as operation
from striate.hooks._operations import OperationRecord as OperationRecord
from striate.hooks._operations import listing as listing
from striate.hooks._operations import operations as operations
from striate.hooks._places import PlaceError as PlaceError
from striate.hooks._places import place_name as place_name
from striate.hooks._places import place_names as place_names
from striate.hooks._rewrite import Rewritten as Rewritten
from striate.hooks._rewrite import rewrite as rewrite
from striate.hooks._rules import DECONVNET as DECONVNET
from striate.hooks._rules import GUIDED as GUIDED
from striate.hooks._rules import NoRectifierError as NoRectifierError
from striate.hooks._rules import RewriteError as RewriteError
from striate.hooks._rules import Rule as Rule
