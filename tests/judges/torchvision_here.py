"""Make `import torchvision`, and so `import timm`, work with a torch that torchvision's extension was not built for.

Two of its operators are then missing.
"""

import importlib

import torch

try:
    importlib.import_module("torchvision")
except ModuleNotFoundError:
    pass
except RuntimeError:  # its extension did not load: declare what it would have declared (where it does, this aborts)
    _OPERATORS = torch.library.Library("torchvision", "DEF")
    _OPERATORS.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _OPERATORS.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    importlib.import_module("torchvision")
