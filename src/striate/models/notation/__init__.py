"""A network written down: `(conv3-32 relu)*2 pool2 fc512 relu dropout.5`, or a column of VGG's table as printed.

`text` splits it into words, `grammar` parses them to a `tree`, `assembly` builds the modules, and `network` the whole.
"""

from striate.models.notation.grammar import Notation as Notation
from striate.models.notation.grammar import is_notation as is_notation
from striate.models.notation.grammar import parse as parse
from striate.models.notation.network import build_written as build_written
from striate.models.notation.network import written_classes as written_classes
from striate.models.notation.text import NotationError as NotationError
