"""A plain FastAPI endpoint with torch, as tutorials write it: python -m sides.serve_fastapi CLASSIFIER PORT

`/predict` runs the network in the event loop, `/threaded` in FastAPI's threads.
"""

from __future__ import annotations

import io
import sys
from typing import Annotated, Any

import numpy as np
import torch
import uvicorn
from fastapi import Depends, FastAPI, Request  # pyright: ignore[reportMissingImports]
from PIL import Image, ImageOps

from striate.classifier import load_classifier


async def body(request: Request) -> bytes:
    return await request.body()


def application(folder: str) -> FastAPI:
    classifier = load_classifier(folder)
    model, spec, classes = classifier.model.eval(), classifier.input, classifier.labels.classes
    mean, std = (torch.tensor(values)[:, None, None] for values in (spec.mean, spec.std))
    app = FastAPI()

    def answer(data: bytes) -> dict[str, Any]:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        pixels = np.asarray(ImageOps.fit(image, (spec.width, spec.height), Image.Resampling.BILINEAR))
        tensor = (torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255 - mean) / std
        with torch.no_grad():
            probabilities = model(tensor[None]).softmax(dim=1)[0]
        values, indices = probabilities.topk(5)
        return {classes[index]: value for index, value in zip(indices.tolist(), values.tolist(), strict=True)}

    @app.post("/predict")
    async def predict(data: Annotated[bytes, Depends(body)]) -> dict[str, Any]:
        return answer(data)

    @app.post("/threaded")
    def threaded(data: Annotated[bytes, Depends(body)]) -> dict[str, Any]:
        return answer(data)

    return app


if __name__ == "__main__":
    uvicorn.run(application(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="critical")
