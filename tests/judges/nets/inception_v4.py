"""timm's, after the authors' code."""

import timm

from judges.parity import Judge

JUDGES = (Judge("inception_v4", "timm", lambda: timm.create_model("inception_v4"), shape=(3, 139, 112)),)
