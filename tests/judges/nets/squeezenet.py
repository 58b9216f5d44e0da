"""Who judges `squeezenet`."""

import torchvision

from judges.parity import Judge

JUDGES = (
    Judge("squeezenet1_0", "torchvision", lambda: torchvision.models.squeezenet1_0()),
    Judge("squeezenet1_1", "torchvision", lambda: torchvision.models.squeezenet1_1()),
)
