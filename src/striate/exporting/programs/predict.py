"""Classify images with model.onnx in this folder: python predict.py IMAGE… (needs numpy, Pillow, onnxruntime)."""

import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageCms, ImageOps


class Classifier:
    def __init__(self, path):
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.classes, self.input, self.sets = (json.loads(metadata[name]) for name in ("classes", "input", "sets"))

    def predict(self, image):  # a path or an open file; probabilities are pairs, the largest first
        values: list = self.session.run(None, {"image": self.pixels(Image.open(image))[None]})  # pyright: ignore
        found = {of.name: value[0].tolist() for of, value in zip(self.session.get_outputs(), values, strict=True)}
        ranked = sorted(zip(self.classes, found["probabilities"], strict=True), key=lambda pair: -pair[1])
        among = {name: [label for label, value in ranked if 1 - value <= top] for name, top in self.sets.items()}
        return {**found, "probabilities": ranked, "among": among}

    def pixels(self, image):  # upright (height, width, channels), in the channels and the depth of the network
        if image.mode[0] != "I" and any(";16" in str(part) for part in image.tile):
            raise ValueError("Pillow drops half of the 16 bits of these colours: save the image with 8 bits for each.")
        colours, alpha = decoded(ImageOps.exif_transpose(image))
        full, largest = (255.0, 65535.0, 1.0)["BHf".index(colours.dtype.char)], self.input["maximum"]
        if alpha is not None:
            ground, opaque = np.float32(self.input["background"] * full), alpha.astype(np.float32) / np.float32(full)
            colours = np.rint(ground + (colours - ground) * opaque).astype(colours.dtype)
        if "grey" in self.input["channels"] and colours.shape[2] > 1:
            colours = ((colours.astype(np.int64) @ [19595, 38470, 7471] + 32768) >> 16).astype(colours.dtype)[..., None]
        places = [("red", "green", "blue", "grey").index(name) % colours.shape[2] for name in self.input["channels"]]
        scaled = colours[..., places].astype(np.float32) * np.float32(largest / full)
        return np.rint(scaled).astype({255.0: "B", 65535.0: "H"}[largest]) if largest > 1 else scaled


def decoded(image):  # returns the colours (height, width, 1 or 3) in sRGB, and the opacity (height, width, 1) or None
    if image.mode == "F" or image.mode.startswith("I"):
        return np.asarray(image).astype(np.float32 if image.mode == "F" else np.uint16)[..., None], None
    alpha = np.asarray(image.convert("RGBA"))[..., 3:] if image.has_transparency_data else None
    image = image if image.mode == "CMYK" else image.convert("L" if image.mode in ("1", "L", "LA", "La") else "RGB")
    with contextlib.suppress(KeyError, ImageCms.PyCMSError, OSError):  # no profile, or none that is for these channels
        profile, srgb = io.BytesIO(image.info["icc_profile"]), ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB") or image
    if image.mode == "CMYK":
        light = 255 - np.asarray(image).astype(np.uint16)
        return ((light[..., :3] * light[..., 3:] + 127) // 255).astype(np.uint8), alpha
    return np.asarray(image).reshape(image.height, image.width, -1), alpha


if __name__ == "__main__":
    classifier = Classifier(Path(__file__).with_name("model.onnx"))
    for path, found in zip(sys.argv[1:], map(classifier.predict, sys.argv[1:]), strict=True):
        none = ["none of these; nearest:"] * found.get("none_of_these", False)
        print(path, *none, *(f"{name} {value:.4f}" for name, value in found["probabilities"][:5]), sep="  ")
