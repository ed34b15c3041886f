"""How often the rules of health agree with cases whose status is known.

    python -m benchmarks.health_cases CASES.jsonl [--wrong]

Each line of the file is `{"object": {...}, "status": "Healthy"}`; further keys are ignored.
"""

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, get_args

from pilothouse.gitops.health import assess
from pilothouse.gitops.health.fields import LiveObject, mapping, text
from pilothouse.models.health import HealthStatus, ObjectHealth

STATUSES: tuple[HealthStatus, ...] = get_args(HealthStatus)


class Case(NamedTuple):
    """One object, what it should be called and what it is called."""

    live: LiveObject
    expected: str
    found: ObjectHealth

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.found.object.group


def read_cases(file: Path) -> list[Case]:
    """Judge every case of a file of JSON lines."""
    cases: list[Case] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.strip():
            entry = json.loads(line)
            live = mapping(entry, "object")
            cases.append(Case(live, text(entry, "status"), assess(live)))
    return cases


def half_of(group: str) -> str:
    """`a` or `b`: groups, not objects, are split, so that no family stands in both halves."""
    return "ab"[hashlib.sha256(group.encode()).digest()[-1] % 2]


def summary(cases: Iterable[Case]) -> str:
    """One line: agreement, and the two mistakes that matter."""
    counted = Counter((case.expected, case.found.status) for case in cases)
    total = sum(counted.values())
    right = sum(count for (expected, found), count in counted.items() if expected == found)
    degraded = sum(count for (expected, _), count in counted.items() if expected == "Degraded")
    wrongly = sum(
        count
        for (expected, found), count in counted.items()
        if found == "Healthy" and expected != "Healthy"
    )
    return (
        f"{right} of {total} right ({100 * right / max(total, 1):.1f} %), "
        f"{counted['Degraded', 'Healthy']} of {degraded} Degraded called Healthy, "
        f"{wrongly} wrongly Healthy"
    )


def matrix(cases: Iterable[Case]) -> str:
    """The confusion matrix in Markdown: a row for each expected status."""
    counted = Counter((case.expected, case.found.status) for case in cases)
    lines = [
        f"| expected | {' | '.join(STATUSES)} |",
        f"| --- | {' | '.join('---' for _ in STATUSES)} |",
    ]
    for expected in STATUSES:
        row = " | ".join(str(counted[expected, found] or "") for found in STATUSES)
        lines.append(f"| {expected} | {row} |")
    return "\n".join(lines)


def microseconds(cases: list[Case], rounds: int = 5) -> float:
    """The time that judging one object takes: the best round's mean."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for case in cases:
            assess(case.live)
        best = min(best, time.perf_counter() - start)
    return best / max(len(cases), 1) * 1e6


def main() -> None:
    """Print the matrix of one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("cases", type=Path, help="a file of JSON lines")
    parser.add_argument("--wrong", action="store_true", help="name every case that is not right")
    options = parser.parse_args()
    cases = read_cases(options.cases)
    write = sys.stdout.write
    write(f"{matrix(cases)}\n\n{summary(cases)}\n")
    for half in "ab":
        write(f"half {half}: {summary(c for c in cases if half_of(c.group) == half)}\n")
    write(f"{microseconds(cases):.0f} us per object\n")
    if options.wrong:
        for case in cases:
            if case.expected != case.found.status:
                found = case.found
                write(f"{found.object.group}/{found.object.kind}: expected {case.expected}, got ")
                write(f"{found.status} ({found.message})\n")


if __name__ == "__main__":
    main()
