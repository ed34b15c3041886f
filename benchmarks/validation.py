"""`pilothouse validate` as a whole process, cold and warm, beside a reference in the same run.

    python -m benchmarks.validation [--count 500] [--runs 5]

COUNT objects, four to an application, one file an application. Cold: the cache is empty. Warm: the
same command again. The reference is kube-score, if it is on the PATH; else PyYAML's C loader over
the same files, which is the least that any Python program must do. Medians; one line of JSON.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.four_objects import OBJECTS_EACH, write_applications

_LOAD = """\
import pathlib, sys, yaml
for file in pathlib.Path(sys.argv[1]).rglob("*.yaml"):
    list(yaml.load_all(file.read_bytes(), yaml.CSafeLoader))
"""


def measure(count: int, runs: int) -> dict[str, object]:
    """Everything in turn, so that whatever else the machine does meets all of it alike."""
    with tempfile.TemporaryDirectory(prefix="pilothouse-bench-") as scratch:
        folder, cache = Path(scratch, "manifests"), Path(scratch, "cache")
        applications = -(-count // OBJECTS_EACH)
        write_applications(folder, applications, "m0", "bench")
        validate = [sys.executable, "-m", "pilothouse.cli.main", "validate", str(folder)]
        name, reference = _reference(folder)
        cold, warm, other = [], [], []
        for _ in range(runs):
            shutil.rmtree(cache, ignore_errors=True)
            cold.append(_seconds(validate, cache))
            warm.append(_seconds(validate, cache))
            other.append(_seconds(reference, cache))
    return {
        "objects": applications * OBJECTS_EACH,
        "cold_s": round(median(cold), 3),
        "warm_s": round(median(warm), 3),
        "reference": name,
        "reference_s": round(median(other), 3),
        "cold_ratio": round(median(cold) / median(other), 2),
        "warm_ratio": round(median(warm) / median(other), 2),
    }


def _reference(folder: Path) -> tuple[str, list[str]]:
    program = shutil.which("kube-score")
    if program is None:
        return "PyYAML CSafeLoader", [sys.executable, "-c", _LOAD, str(folder)]
    files = sorted(str(file) for file in folder.rglob("*.yaml"))
    version = subprocess.run([program, "version"], capture_output=True, text=True, check=True)
    return version.stdout.strip(), [program, "score", *files]


def _seconds(argv: Sequence[str], cache: Path) -> float:
    """How long a process takes; findings are no failure."""
    environment = {**os.environ, "PILOTHOUSE_CACHE_DIR": str(cache)}
    started = time.monotonic()
    ended = subprocess.run(
        argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    seconds = time.monotonic() - started
    if ended.returncode not in {0, 1}:
        raise SystemExit(f"{argv[0]} ended with {ended.returncode}: {ended.stderr.decode()}")
    return seconds


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=500, help="objects")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    sys.stdout.write(json.dumps(measure(options.count, options.runs)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
