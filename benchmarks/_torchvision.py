"""Import torchvision, as timm does, where its extension was not built for this torch and two operators are missing."""

import torch

try:
    import torchvision
except RuntimeError:  # declare what its extension would have declared; where it loads, this would abort
    operators = torch.library.Library("torchvision", "DEF")
    operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

__all__ = ["torchvision"]
