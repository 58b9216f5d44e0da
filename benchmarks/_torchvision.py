"""torchvision, which timm imports, also where its extension was not built for this torch."""

import sys

from _sides import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests"))

import judges.torchvision_here  # noqa: F401  (after it torchvision can be imported)

# isort: split
import torchvision

__all__ = ["torchvision"]
