"""Scores of a model from its outputs and targets, in numpy: sums over samples, never means of means."""

from striate.metrics.calibration import Bin as Bin
from striate.metrics.calibration import Calibration as Calibration
from striate.metrics.confusion import ClassScore as ClassScore
from striate.metrics.confusion import ConfusedPair as ConfusedPair
from striate.metrics.evaluation import EVALUATORS as EVALUATORS
from striate.metrics.evaluation import ClassificationScores as ClassificationScores
from striate.metrics.evaluation import Evaluator as Evaluator
from striate.metrics.evaluation import Scores as Scores
from striate.metrics.evaluation import score_classification as score_classification
from striate.metrics.multilabel import MultilabelRows as MultilabelRows
from striate.metrics.multilabel import MultilabelScores as MultilabelScores
from striate.metrics.pointing import centre_points as centre_points
from striate.metrics.pointing import chance_of_pointing as chance_of_pointing
from striate.metrics.pointing import points_within as points_within
from striate.metrics.pointing import share_within as share_within
from striate.metrics.ranking import predict as predict
from striate.metrics.rows import Rows as Rows
from striate.metrics.rows import Table as Table
from striate.metrics.scores import METRICS as METRICS
from striate.metrics.scores import PER_CLASS as PER_CLASS
from striate.metrics.scores import Metric as Metric
from striate.metrics.scores import headline as headline
from striate.metrics.temperature import Temperature as Temperature
from striate.metrics.temperature import fit_temperature as fit_temperature
from striate.metrics.temperature import measure_temperature as measure_temperature
