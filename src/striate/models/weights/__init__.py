"""Load pretrained weights of other projects: one file of renaming rules for each source."""

from striate.models.weights.adapt import build_pretrained as build_pretrained
from striate.models.weights.efficientnet_lite import EFFICIENTNET_LITE0_INPUT as EFFICIENTNET_LITE0_INPUT
from striate.models.weights.efficientnet_lite import efficientnet_lite as efficientnet_lite
from striate.models.weights.files import WeightsFile as WeightsFile
from striate.models.weights.files import read_file as read_file
from striate.models.weights.installed import installed_file as installed_file
from striate.models.weights.load import load_weights as load_weights
from striate.models.weights.mobilenet_v2 import MOBILENET_V2_INPUT as MOBILENET_V2_INPUT
from striate.models.weights.mobilenet_v2 import mobilenet_v2_folded as mobilenet_v2_folded
from striate.models.weights.pretrained import Pretrained as Pretrained
from striate.models.weights.pretrained import is_published as is_published
from striate.models.weights.pretrained import pretrained as pretrained
from striate.models.weights.resnet_cifar import resnet_cifar as resnet_cifar
from striate.models.weights.squeezenet import SQUEEZENET_INPUT as SQUEEZENET_INPUT
from striate.models.weights.squeezenet import squeezenet as squeezenet
