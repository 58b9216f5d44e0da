"""Classify images with model.onnx in this folder: python predict.py IMAGE… (needs numpy, Pillow, onnxruntime)."""

import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageCms, ImageOps

LUMA = np.array([19595, 38470, 7471])  # of red, green and blue in grey, in 65,536ths


class Classifier:
    def __init__(self, path):
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.classes, self.input = json.loads(metadata["classes"]), json.loads(metadata["input"])

    def predict(self, image):  # a path or an open file; returns classes and probabilities, the largest first
        values = self.session.run(None, {"image": self.pixels(Image.open(image))[None]})[0][0]  # pyright: ignore
        return sorted(zip(self.classes, values.tolist(), strict=True), key=lambda pair: -pair[1])

    def pixels(self, image):  # upright (height, width, channels), in the channels and the depth of the network
        colours, alpha = decoded(ImageOps.exif_transpose(image))
        full, largest = (255.0, 65535.0, 1.0)["BHf".index(colours.dtype.char)], self.input["maximum"]
        if alpha is not None:
            ground, opaque = np.float32(self.input["background"] * full), alpha.astype(np.float32) / np.float32(full)
            colours = np.rint(ground + (colours - ground) * opaque).astype(colours.dtype)
        if len(self.input["channels"]) < colours.shape[2]:
            colours = ((colours.astype(np.uint32) @ LUMA + 32768) >> 16).astype(colours.dtype)[..., None]
        colours = np.repeat(colours, len(self.input["channels"]) // colours.shape[2], axis=2)
        scaled = colours.astype(np.float32) * np.float32(largest / full)
        return np.rint(scaled).astype({255.0: "B", 65535.0: "H"}[largest]) if largest > 1 else scaled


def decoded(image):
    """Return the colours (height, width, 1 or 3) in sRGB, and the opacity (height, width, 1) or None."""
    if image.mode == "F" or image.mode.startswith("I"):
        return np.asarray(image).astype(np.float32 if image.mode == "F" else np.uint16)[..., None], None
    alpha = np.asarray(image.convert("RGBA"))[..., 3:] if image.has_transparency_data else None
    profile, grey = image.info.get("icc_profile"), image.mode in ("1", "L", "LA", "La")
    image = image if image.mode == "CMYK" else image.convert("L" if grey else "RGB")
    if profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError):  # a damaged profile, or one for other channels
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            return np.asarray(ImageCms.profileToProfile(image, source, target, outputMode="RGB")), alpha
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    if image.mode == "CMYK":
        light = 255 - pixels.astype(np.uint16)
        pixels = ((light[..., :3] * light[..., 3:] + 127) // 255).astype(np.uint8)
    return pixels, alpha


if __name__ == "__main__":
    classifier = Classifier(Path(__file__).with_name("model.onnx"))
    for path in sys.argv[1:]:
        print(path, *(f"{name} {value:.4f}" for name, value in classifier.predict(path)[:5]), sep="  ")
