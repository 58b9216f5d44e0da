"""Tasks: losses, answers and scores from a model's outputs and targets."""

from striate.tasks.classification import CLASSIFICATION as CLASSIFICATION
from striate.tasks.classification import Classification as Classification
from striate.tasks.multilabel import Multilabel as Multilabel
from striate.tasks.task import TASKS as TASKS
from striate.tasks.task import Criterion as Criterion
from striate.tasks.task import OfImages as OfImages
from striate.tasks.task import Prediction as Prediction
from striate.tasks.task import Task as Task
