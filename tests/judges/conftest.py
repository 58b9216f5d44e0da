"""Before any test of this folder is read: torchvision and timm can be imported, and Keras runs on torch."""

import judges.parity  # noqa: F401
