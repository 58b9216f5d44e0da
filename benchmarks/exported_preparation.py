"""The preparation in an exported graph: how many values differ from Striate's own, and how long it takes.

    python benchmarks/exported_preparation.py [--quick] [--write]

Each photo of `photos-dog-cat` is prepared by both, on one thread. The time is the processor time of the thread, the
least of three runs; the ratio is that of the sums.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import onnxruntime

from _measure import Figures, write_result
from _sides import real_data
from striate.core.spec import RGB, InputSpec, ResizeRule
from striate.data.images.decode import decode
from striate.data.images.decoded import DecodedImage
from striate.data.preparation.arrays import prepare
from striate.exporting.graph import Graph
from striate.exporting.preparation import add_preparation

RESIZES: tuple[ResizeRule, ...] = ("cover", "contain", "stretch")


def session(spec: InputSpec) -> onnxruntime.InferenceSession:
    graph = Graph()
    image = graph.input("image", np.uint8, ("n", "height", "width", 3))
    graph.output("prepared", add_preparation(graph, image, spec), np.float32, ("n", *spec.shape))
    model = graph.model({})
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def row(spec: InputSpec, images: list[DecodedImage]) -> tuple[str, ...]:
    opened, differ, seconds = session(spec), 0, np.zeros(2)
    for image in images:
        least, given = np.full(2, np.inf), {"image": image.pixels[None]}
        for _ in range(3):
            start = time.thread_time()
            prepare(image, spec)
            between = time.thread_time()
            opened.run(None, given)
            least = np.minimum(least, [between - start, time.thread_time() - between])
        differ += int((np.asarray(opened.run(None, given)[0]) != prepare(image, spec)).sum())
        seconds += least
    own_ms, graph_ms = 1000 * seconds / len(images)
    names = f"{spec.resize}, {spec.filter}"
    return names, str(len(images)), str(differ), f"{own_ms:.2f}", f"{graph_ms:.2f}", f"{graph_ms / own_ms:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few photos")
    parser.add_argument("--write", action="store_true", help="write results/exported_preparation.md and .json")
    arguments = parser.parse_args()
    paths: list[Path] = sorted(real_data("photos-dog-cat").glob("*/*.jpg"))
    images = [decode(path) for path in paths[:: 40 if arguments.quick else 1]]
    images = [image for image in images if image.channels == RGB]
    specs = [
        InputSpec(
            channels=RGB, height=224, width=224, mean=(0.5,) * 3, std=(0.25,) * 3, resize=resize, filter=filter,
            padding=None,
        )
        for resize in RESIZES
        for filter in ("bilinear", "bicubic")
    ]  # fmt: skip
    rows = tuple(row(spec, images) for spec in specs)
    note = f"Input 224×224. ONNX Runtime {onnxruntime.__version__}, one thread."
    table = Figures(("", "photos", "values that differ", "ms, Striate", "ms, graph", "ratio"), rows, note)
    print(table.markdown())
    if arguments.write:
        write_result("exported_preparation", "Preparation in an exported graph", {"Preparation": table})


if __name__ == "__main__":
    main()
