"""Who judges `alexnet`."""

import torchvision

from judges.parity import Judge

JUDGES = (Judge("alexnet", "torchvision", lambda: torchvision.models.alexnet()),)
