"""Other validators of Kubernetes manifests, run with every check that they have."""

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

Judged = Mapping[str, Mapping[str, bool]]
"""Check -> file -> whether it found something; without an entry it did not look at the file."""

_KUBE_SCORE_OK = 7
"""Its grades go from 1 to 10; from this one on it prints OK."""
_KUBERNETES = "v1.36"


def _output(*argv: str) -> str:
    """What a program prints; it ends with 1 if it finds something."""
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    if ended.returncode not in {0, 1} or not ended.stdout.strip():
        raise SystemExit(f"{argv[0]} ended with {ended.returncode}: {ended.stderr[-2000:]}")
    return ended.stdout


def kube_score(program: str, folder: Path) -> Judged:
    """Each file of a folder holds one object; all are judged together."""
    files = sorted(str(path) for path in folder.iterdir())
    options = ("--all-default-optional", "--disable-ignore-checks-annotations")
    shape = ("--kubernetes-version", _KUBERNETES, "-o", "json")
    listed = _output(program, "score", *options, *shape, *files)
    judged: dict[str, dict[str, bool]] = {}
    for scored in json.loads(listed) or ():
        name = Path(scored["file_name"]).name
        for result in scored["checks"]:
            if not result["skipped"]:
                said = judged.setdefault(result["check"]["id"], {})
                said[name] = said.get(name, False) or result["grade"] < _KUBE_SCORE_OK
    return judged


def checkov(program: str, folder: Path) -> Judged:
    """Each file of a folder holds one object; all are judged together."""
    options = ("--framework", "kubernetes", "--skip-download", "--compact", "-o", "json")
    report = json.loads(_output(program, *options, "-d", str(folder)))
    judged: dict[str, dict[str, bool]] = {}
    for result, found in (("passed_checks", False), ("failed_checks", True)):
        for entry in report.get("results", {}).get(result, ()):
            said = judged.setdefault(entry["check_id"], {})
            name = Path(entry["file_path"]).name
            said[name] = said.get(name, False) or found
    return judged


PROGRAMS: Mapping[str, Callable[[str, Path], Judged]] = {
    "checkov": checkov,
    "kube-score": kube_score,
}
"""Name of a program, as rules' counterparts name it -> how to ask it."""
