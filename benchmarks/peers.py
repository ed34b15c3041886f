"""Our rules beside other programs' checks: object by object, who finds something and who does not.

    python -m benchmarks.peers kube-score|checkov [--program PATH] [FOLDER ...] [--cases FOLDER]

Judges manifests that are made here (benchmarks/peer_cases.py), and those in each FOLDER: all files
below it are taken as one set of objects, but those below the folder of --cases each as its own. A
rule answers for a check that it names among its counterparts. Only objects that the program judges
by a check are compared; what we say about others is counted apart. Prints a line of JSON for each
check, with some examples of each disagreement, and last one for the sum and for the checks of the
program that no rule answers for.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from benchmarks.peer_cases import (
    CLUSTER_SCOPED,
    PeerCase,
    generated,
    isolated,
    without_namespace,
)
from benchmarks.peer_programs import PROGRAMS, Judged
from benchmarks.peer_workloads import Object
from pilothouse.clients.schemas import built_in_schemas
from pilothouse.gitops.manifests.loader import is_manifest_file, load
from pilothouse.gitops.validation.checks import check
from pilothouse.gitops.validation.rules import RULES
from pilothouse.gitops.validation.schemas import SchemaCheck


@dataclass(slots=True)
class Agreement:
    """How one check of a program and our rules for it agree."""

    both: int = 0
    neither: int = 0
    only_they: list[str] = field(default_factory=list)
    only_we: list[str] = field(default_factory=list)
    elsewhere: int = 0
    """Objects of which the program says nothing either way, and we find something."""

    def add(self, name: str, *, they: bool | None, we: bool) -> None:
        """Count one object."""
        if they is None:
            self.elsewhere += we
        elif they and we:
            self.both += 1
        elif not they and not we:
            self.neither += 1
        else:
            (self.only_they if they else self.only_we).append(name)


def compared(
    units: Iterable[Mapping[str, Object]], judge: Callable[[Path], Judged], tool: str
) -> dict[str, Agreement]:
    """Every check of a program, over every object of every unit; names are those of the files."""
    schemas = SchemaCheck(built_in_schemas())
    rules = _rules_by_check(tool)
    agreements: dict[str, Agreement] = defaultdict(Agreement)
    for unit in units:
        with tempfile.TemporaryDirectory(prefix="pilothouse-peers-") as scratch:
            for name, body in unit.items():
                # JSON is YAML in which no reader takes `y` or `n` for a boolean.
                Path(scratch, name).write_text(json.dumps(body, indent=1), encoding="utf-8")
            theirs = judge(Path(scratch))
            ours = _ours(Path(scratch), schemas)
        for check_id in {*theirs, *rules}:
            said = theirs.get(check_id, {})
            for name in unit:
                we = not rules.get(check_id, frozenset()).isdisjoint(ours[name])
                agreements[check_id].add(name, they=said.get(name), we=we)
    return agreements


def _rules_by_check(tool: str) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for rule in RULES:
        for check_id in rule.counterparts.get(tool, ()):
            found[check_id].add(rule.id)
    return {check_id: frozenset(rules) for check_id, rules in found.items()}


def _ours(folder: Path, schemas: SchemaCheck) -> dict[str, set[str]]:
    """File -> the rules that its object violates."""
    found: dict[str, set[str]] = {path.name: set() for path in folder.iterdir()}
    manifests = [
        manifest
        for name in sorted(found)
        for manifest in load((folder / name).read_bytes(), name).manifests
    ]
    for finding in check(manifests, schemas):
        found[finding.file].add(finding.rule)
    return found


def _unit_of_folder(folder: Path) -> dict[str, Object]:
    """Every object below a folder, the first of each name."""
    seen: dict[tuple[str, ...], Object] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and is_manifest_file(path.name):
            for manifest in load(path.read_bytes(), path.name, strays="info").manifests:
                ref = manifest.ref
                seen.setdefault((ref.kind, ref.group, ref.namespace, ref.name), manifest.body)
    return {_file_name(index, body): body for index, body in enumerate(seen.values())}


def _unit_of_cases(folder: Path) -> dict[str, Object]:
    """Every file below a folder as a set of objects for itself, in a namespace of its own."""
    unit: dict[str, Object] = {}
    of_cluster: set[tuple[str, str]] = set()
    for index, path in enumerate(sorted(path for path in folder.rglob("*.y*ml"))):
        loaded = load(path.read_bytes(), path.name, strays="info").manifests
        refs = {(m.ref.kind, m.ref.name) for m in loaded if m.ref.kind in CLUSTER_SCOPED}
        if refs & of_cluster:
            continue  # It would meet the objects of another case.
        of_cluster |= refs
        case = isolated(PeerCase("", tuple(m.body for m in loaded)), f"case-{index}")
        for number, body in enumerate(case.objects):
            name = f"{index}-{number}-{path.parent.name}-{path.stem}-{body.get('kind')}.yaml"
            unit[name] = body
    return unit


def _file_name(index: int, body: Object, case: str = "") -> str:
    metadata = body.get("metadata")
    name: JsonValue = metadata.get("name") if isinstance(metadata, dict) else ""
    return f"{index:05}-{case or name}-{body.get('kind')}.yaml".replace("/", "-").replace(":", "-")


def _units(folders: Iterable[Path], cases: Iterable[Path]) -> list[dict[str, Object]]:
    made = [(case.name, body) for case in generated() for body in case.objects]
    bare = without_namespace()
    return [
        {_file_name(index, body, case): body for index, (case, body) in enumerate(made)},
        {_file_name(index, body): body for index, body in enumerate(bare.objects)},
        *map(_unit_of_folder, folders),
        *map(_unit_of_cases, cases),
    ]


def main() -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tool", choices=sorted(PROGRAMS))
    parser.add_argument("--program", help="path of the program; the PATH is searched without")
    parser.add_argument("--show", type=int, default=3, help="examples of each disagreement")
    parser.add_argument("--cases", action="append", default=[], type=Path, metavar="FOLDER")
    parser.add_argument("folders", nargs="*", type=Path)
    options = parser.parse_intermixed_args()
    program = options.program or options.tool
    judge = PROGRAMS[options.tool]
    units = _units(options.folders, options.cases)
    agreements = compared(units, lambda folder: judge(program, folder), options.tool)
    _print(agreements, options.tool, options.show)


def _print(agreements: Mapping[str, Agreement], tool: str, show: int) -> None:
    rules = _rules_by_check(tool)
    total: Counter[str] = Counter()
    for check_id, found in sorted(agreements.items()):
        if check_id not in rules:
            continue
        counts = {
            "both": found.both,
            "neither": found.neither,
            "only_they": len(found.only_they),
            "only_we": len(found.only_we),
            "elsewhere": found.elsewhere,
        }
        total.update(counts)
        examples = {"they": found.only_they[:show], "we": found.only_we[:show]}
        line = {"check": check_id, **counts, "rules": sorted(rules[check_id]), **examples}
        sys.stdout.write(json.dumps(line) + "\n")
    without = {
        name: found.both + len(found.only_they)
        for name, found in sorted(agreements.items())
        if name not in rules
    }
    sys.stdout.write(json.dumps({"sum": total, "checks": len(rules), "without": without}) + "\n")


if __name__ == "__main__":
    main()
