"""The benchmarks of `BENCHMARKS` in order, each in a process of its own: python -m benchmarks [--quick]

Every one writes its table into `results/`, except with `--quick`, which only shows that they work. The machine should
have nothing else to do. One that fails is named at the end and does not keep the others from running. Those that take
hours, or have targets of their own to reach, are run by themselves: `cifar_fast`, `fashion`, `golden`,
`resnet20`, `resnet_rs_ladder`, `resume_study`, `transfer`, `zoo`, `zoo_train`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

# With what makes it short, for --quick.
BENCHMARKS = {
    "startup": ["--quick"],
    "digits": ["--quick"],
    "mnist_throughput": ["--quick"],
    "mnist_to_99": ["--quick"],
    "memory": ["--quick"],
    "photos": ["--rounds", "1"],
    "decode_scale": [],
    "before": ["--rounds", "1"],
    "preparation": ["--quick"],
    "augmentation": ["--quick"],
    "exported_preparation": ["--quick"],
    "predict_many": ["--quick"],
    "exported_speed": ["--quick"],
    "serving": ["--quick"],
    "compression": ["--quick"],
    "copies": ["--quick"],
    "small_data": ["--quick"],
    "retrieval": ["--quick"],
    "patches": ["--quick"],
    "step_memory": ["--quick"],
    "processes": ["--kills", "1"],
    "find_lr": ["--quick"],
    "health": ["--quick"],
    "regularizers": ["--quick"],
    "checks": ["--quick"],
    "pointing": ["--quick"],
    "zoo_cost": ["--quick"],
    "explaining": ["--quick"],
    "occlusion": ["--quick"],
    "zoo_explained": ["--quick"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="as short as it can be, writing nothing")
    quick = parser.parse_args().quick
    failed = []
    for name, short in BENCHMARKS.items():
        print(f"\n{name}", flush=True)
        start = time.perf_counter()
        script = Path(__file__).parent / f"{name}.py"
        done = subprocess.run([sys.executable, str(script), *(short if quick else ["--write"])])
        print(f"({time.perf_counter() - start:.0f} s)", flush=True)
        if done.returncode:
            failed.append(name)
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
