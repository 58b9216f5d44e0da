"""Predictions for many photos: one process on one core, on all cores, and a local cluster of two workers.

    python benchmarks/predict_many.py [--photos N] [--quick] [--write]

The photos are those of `photos-dog-cat`, again and again. Each contestant writes a Parquet file in a process of its
own: its whole time is that of the process, start included; its rate is that of the images after the first part, and its
start is the rest. Times for 4,000, 10⁶ and 10⁹ images follow from start and rate; 10⁹ are a thousand jobs of 10⁶.
Without Ray (pip install 'striate[cluster]') there is no cluster. `--photos 0` leaves all of this out.

The processor time of a photo, with reading, decoding and writing, is measured apart: it is steady on a busy machine,
and gives the core-hours of 10⁶ and 10⁹ images.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

import striate
from _measure import Figures, write_result
from _sides import real_data

MODEL = "efficientnet_lite0"
PROGRAM = """
import json, sys, time
start = time.perf_counter()
import striate
striate.tune_process()
cores, where, images, out = int(sys.argv[1]), sys.argv[2] or None, open(sys.argv[3]).read().split("\\n"), sys.argv[4]
import striate.predicting.write as write
if cores:
    import torch
    torch.set_num_threads(cores)
    write.usable_cores = lambda: cores
moments = []
def note(stage, done, total):
    if stage.startswith("predicting"):
        moments.append((time.perf_counter() - start, done))
options = {} if where is None else {"cluster": where, "workers": 2}
striate.predict(MODEL, *images, out=out, progress=note, **options)
peak = int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) / 1024  # MiB
print(json.dumps({"moments": moments, "whole": time.perf_counter() - start, "peak": peak}))
"""
CONTESTANTS = {
    "one process, one core": (1, ""),
    "one process, all cores": (0, ""),
    "local cluster, two workers": (0, "local"),
}


def measured(name: str, photos: list[Path], folder: Path) -> tuple[float, float, float, float]:
    """The whole time, the start (both s), images per second after it, and the peak of memory (MiB) of a contestant."""
    cores, where = CONTESTANTS[name]
    listed, out = folder / "images", folder / f"{name}.parquet"
    listed.write_text("\n".join(map(str, photos)))
    out.unlink(missing_ok=True)
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", PROGRAM.replace("MODEL", repr(MODEL)), str(cores), where, str(listed), str(out)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    moments = [tuple(each) for each in found["moments"] if each[1]]
    (first, before), (last, total) = moments[0], moments[-1]
    rate = (total - before) / (last - first)
    return found["whole"], found["whole"] - total / rate, rate, found["peak"]


def processor_time(photos: list[Path], folder: Path) -> float:
    """The least processor time of a photo (s) in three jobs on one core, after one that warms up."""
    striate.tune_process()
    torch.set_num_threads(1)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    classifier, least = striate.load(MODEL), float("inf")
    for number in range(4):
        start = time.process_time()
        striate.predict(classifier, *photos, out=folder / f"{number}.parquet")
        least = min(least, (time.process_time() - start) / len(photos)) if number else least
    os.sched_setaffinity(0, cores)
    return least


def duration(seconds: float) -> str:
    for limit, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * limit:
            return f"{seconds / limit:.1f} {unit}"
    return f"{seconds:.0f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=4000, help="how many")
    parser.add_argument("--quick", action="store_true", help="600 photos")
    parser.add_argument("--write", action="store_true", help="write results/predict_many.md and .json")
    arguments = parser.parse_args()
    count = 600 if arguments.quick else arguments.photos
    paths = sorted(real_data("photos-dog-cat").glob("*/*.jpg"))
    photos = [paths[number % len(paths)] for number in range(count)]
    names = [name for name, (_, where) in CONTESTANTS.items() if not where or importlib.util.find_spec("ray")]
    rows, reckoned, first = [], [], None
    with tempfile.TemporaryDirectory() as folder:
        seconds = processor_time(paths[::4], Path(folder))
        for name in names if count else []:
            whole, start, rate, peak = measured(name, photos, Path(folder))
            first = first or (whole, start, rate)
            ratio = f"{first[0] / whole:.2f}"
            at_4000 = (first[1] + 4000 / first[2]) / (start + 4000 / rate)
            rows.append((name, f"{start:.1f}", f"{rate:.1f}", f"{whole:.1f}", ratio, f"{at_4000:.2f}", f"{peak:.0f}"))
            million = start + 1e6 / rate
            reckoned.append((name, duration(million), duration(1000 * million)))
            print(*rows[-1], sep="\t", flush=True)
    columns = ("", "start, s", "images/s", f"{count:,} photos, s", "ratio", "ratio at 4,000, reckoned", "peak, MiB")
    method = f"{MODEL}, float32, torch; Parquet with the probabilities of 1,000 classes. Ratios are to the first row."
    cost = (f"{1000 * seconds:.1f}", f"{1e6 * seconds / 3600:,.1f}", f"{1e9 * seconds / 3600:,.0f}")
    tables = {
        "Processor time": Figures(
            ("", "ms of one core for a photo", "core-hours for 10⁶", "core-hours for 10⁹"),
            ((MODEL, *cost),),
            f"{len(paths[::4])} photos, the least of three jobs; Parquet with the probabilities of 1,000 classes.",
        )
    }
    if count:
        tables["Measured"] = Figures(columns, tuple(rows), method)
        tables["Reckoned"] = Figures(
            ("", "10⁶ images", "10⁹ images"),
            tuple(reckoned),
            "Start + images / rate. The peak of a cluster is that of the process that writes, without its workers.",
        )
    for table in tables.values():
        print(f"\n{table.markdown()}")
    if arguments.write:
        write_result("predict_many", "Predictions for many images", tables)


if __name__ == "__main__":
    main()
