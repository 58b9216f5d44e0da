"""Looking into any network while it runs: three context managers, over which every explanation is written.

`borrow` lends a model and brings it back as found; `capture` keeps what places of it compute, and their gradients;
`rewrite` changes what its ReLUs pass backward. `operations` lists what there is to look at, `listing` what runs
within a block.
"""

from striate.hooks._borrow import borrow as borrow
from striate.hooks._capture import Captured as Captured
from striate.hooks._capture import Reached as Reached
from striate.hooks._capture import capture as capture
from striate.hooks._listing import Ran as Ran
from striate.hooks._listing import listing as listing
from striate.hooks._listing import operations as operations
from striate.hooks._rewrite import Rewritten as Rewritten
from striate.hooks._rewrite import rewrite as rewrite
from striate.hooks.places import PlaceError as PlaceError
from striate.hooks.places import place_name as place_name
from striate.hooks.places import place_names as place_names
from striate.hooks.rules import DECONVNET as DECONVNET
from striate.hooks.rules import GUIDED as GUIDED
from striate.hooks.rules import NoRectifierError as NoRectifierError
from striate.hooks.rules import RewriteError as RewriteError
from striate.hooks.rules import Rule as Rule
