"""Export a trained classifier: the one place where a model leaves torch."""

from striate.exporting.artefact import Exported as Exported
from striate.exporting.artefact import Judges as Judges
from striate.exporting.artefact import export_classifier as export_classifier
from striate.exporting.artefact import read_exported as read_exported
from striate.exporting.artefact import synthetic_judges as synthetic_judges
from striate.exporting.exporter import EXPORTERS as EXPORTERS
from striate.exporting.exporter import Answer as Answer
from striate.exporting.exporter import Batches as Batches
from striate.exporting.exporter import Exporter as Exporter
from striate.exporting.exporter import Runtime as Runtime
from striate.exporting.parity import Parity as Parity
from striate.exporting.samples import HeldOut as HeldOut
from striate.exporting.samples import PreparedImages as PreparedImages
from striate.exporting.samples import Samples as Samples
