"""A network written down: `(conv3-32 relu)*2 pool2 fc512 relu dropout.5`, or a column of VGG's table as printed.

`scan` cuts the text into words, `words` reads one, `grammar` puts them together into a `tree`, `table` adds what VGG's
table leaves out, `closing` finds the head; `flow`, `modules`, `naming` and `assembly` make a `network` of it.
"""

from striate.models.notation.closing import written_classes as written_classes
from striate.models.notation.grammar import Notation as Notation
from striate.models.notation.grammar import is_notation as is_notation
from striate.models.notation.grammar import parse as parse
from striate.models.notation.mistake import NotationError as NotationError
from striate.models.notation.network import build_written as build_written
