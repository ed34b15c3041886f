"""How well rules agree with the cases of another tool: caught violations, and false positives.

    python -m benchmarks.validation_cases FOLDER

FOLDER holds a folder for each check of the tool, named by its id, with manifests named
`success*`, `mutated*` (the tool's own repair) or `failure*`. A rule answers for a check if it names
the check's id among its counterparts. Prints one JSON line for each check, and one for the sum.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from pilothouse.clients.schemas import built_in_schemas
from pilothouse.gitops.manifests.loader import load
from pilothouse.gitops.validation.checks import check
from pilothouse.gitops.validation.rules import RULES
from pilothouse.gitops.validation.schemas import SchemaCheck

_PASSES = ("success", "mutated")
_VIOLATES = "failure"


def cases(folder: Path, schemas: SchemaCheck) -> Iterator[dict[str, object]]:
    """One result for each check of the tool."""
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        rules = {
            rule.id
            for rule in RULES
            if any(inner.name in ids for ids in rule.counterparts.values())
        }
        caught, missed, clean, wrong = 0, [], 0, []
        for file in sorted(inner.glob("*.y*ml")):
            loaded = load(file.read_bytes(), file.name)
            found = rules & {f.rule for f in check(loaded.manifests, schemas)}
            if file.name.startswith(_VIOLATES):
                caught += bool(found)
                missed += [] if found else [file.name]
            elif file.name.startswith(_PASSES):
                clean += not found
                wrong += [f"{file.name}: {', '.join(sorted(found))}"] if found else []
        yield {
            "check": inner.name,
            "rules": sorted(rules),
            "caught": caught,
            "violating": caught + len(missed),
            "missed": missed,
            "clean": clean,
            "passing": clean + len(wrong),
            "false_positives": wrong,
        }


def main() -> None:
    """Judge every case of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    schemas = SchemaCheck(built_in_schemas())
    results = list(cases(parser.parse_args().folder, schemas))
    for result in results:
        sys.stdout.write(json.dumps(result) + "\n")
    counts = ("caught", "violating", "clean", "passing")
    total = {key: sum(int(str(result[key])) for result in results) for key in counts}
    sys.stdout.write(json.dumps(total) + "\n")


if __name__ == "__main__":
    main()
