"""Trained classifiers: model, weights, input and label specifications, provenance."""

from striate.classifier.classifier import Classifier as Classifier
from striate.classifier.ensemble import Ensemble as Ensemble
from striate.classifier.folder import describe_standing as describe_standing
from striate.classifier.folder import load_classifier as load_classifier
from striate.classifier.folder import save_classifier as save_classifier
from striate.classifier.folder import standing as standing
from striate.classifier.folder import weights_digest as weights_digest
from striate.classifier.predictor import Failure as Failure
from striate.classifier.predictor import Predictor as Predictor
from striate.classifier.predictor import Prepared as Prepared
from striate.classifier.pretrained import pretrained_classifier as pretrained_classifier
from striate.classifier.provenance import Provenance as Provenance
from striate.classifier.seen import SeenImages as SeenImages
from striate.models import Arguments as Arguments
from striate.tasks import Prediction as Prediction
