"""References of `vgg`: all but C and A-LRN, which no library ships."""

import torchvision

from judges.parity import Judge

JUDGES = (
    Judge("vgg11", "torchvision", lambda: torchvision.models.vgg11()),
    Judge("vgg13", "torchvision", lambda: torchvision.models.vgg13()),
    Judge("vgg16", "torchvision", lambda: torchvision.models.vgg16()),
    Judge("vgg19", "torchvision", lambda: torchvision.models.vgg19()),
    Judge("vgg11_bn", "torchvision", lambda: torchvision.models.vgg11_bn()),
    Judge("vgg13_bn", "torchvision", lambda: torchvision.models.vgg13_bn()),
    Judge("vgg16_bn", "torchvision", lambda: torchvision.models.vgg16_bn()),
    Judge("vgg19_bn", "torchvision", lambda: torchvision.models.vgg19_bn()),
)
