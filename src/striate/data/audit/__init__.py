"""Look at a data set before training: readability, statistics, duplicates, warnings."""

from striate.data.audit._audit import Audit as Audit
from striate.data.audit._audit import audit as audit
