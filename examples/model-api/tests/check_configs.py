"""The repository's own test: versions look like versions, and production has enough replicas."""

import re
import sys
from pathlib import Path


def values(path):
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    pairs = (line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, value in pairs}


def main():
    base = values("configs/values.yaml")
    production = base | values("configs/production.yaml")
    problems = []
    if not re.fullmatch(r"v\d+\.\d+\.\d+", base["model_version"]):
        problems.append(f"model_version {base['model_version']!r} is not vX.Y.Z")
    if int(production["replicas"]) < 2:
        problems.append("production needs at least 2 replicas")
    for problem in problems:
        print("FAIL", problem)
    if not problems:
        print("ok: 2 checks")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
