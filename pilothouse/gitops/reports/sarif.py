"""Findings as SARIF 2.1.0, which code hosts and editors show at the lines that they are about."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from pydantic import JsonValue

from pilothouse.gitops.reports.paths import placed
from pilothouse.gitops.validation.rule import Rule
from pilothouse.models.findings import Finding, Severity

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Final[Mapping[Severity, str]] = {"error": "error", "warning": "warning", "info": "note"}


def sarif(
    findings: Iterable[Finding], rules: Iterable[Rule], *, version: str, base: str = ""
) -> dict[str, JsonValue]:
    """One run with every finding, and with what is known about each rule that was broken.

    Args:
        findings: what was found.
        rules: every known rule; own rules of a repository are described by their findings.
        version: of this program.
        base: the folder that the findings' files are in, below the repository's root.
    """
    found = list(findings)
    known = {rule.id: rule for rule in rules}
    ids = list(dict.fromkeys(finding.rule for finding in found))
    driver: dict[str, JsonValue] = {
        "name": "pilothouse",
        "version": version,
        "rules": [_descriptor(rule_id, known.get(rule_id)) for rule_id in ids],
    }
    places = {rule_id: index for index, rule_id in enumerate(ids)}
    run: dict[str, JsonValue] = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, places[finding.rule], base) for finding in found],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _descriptor(rule_id: str, rule: Rule | None) -> dict[str, JsonValue]:
    if rule is None:
        return {"id": rule_id, "shortDescription": {"text": f"Own rule {rule_id}"}}
    counterparts: JsonValue = {tool: list(ids) for tool, ids in rule.counterparts.items()}
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"{rule.why} {rule.fix}"},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"counterparts": counterparts},
    }


def _result(finding: Finding, rule_index: int, base: str) -> dict[str, JsonValue]:
    text = f"{finding.message}. {finding.fix}" if finding.fix else finding.message
    result: dict[str, JsonValue] = {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": _LEVELS[finding.severity],
        "message": {"text": text},
        "partialFingerprints": {"findingHash/v1": _fingerprint(finding)},
    }
    location = _location(finding, base)
    if location:
        result["locations"] = [location]
    return result


def _location(finding: Finding, base: str) -> dict[str, JsonValue]:
    location: dict[str, JsonValue] = {}
    if finding.file:
        uri = quote(placed(finding.file, base))
        physical: dict[str, JsonValue] = {"artifactLocation": {"uri": uri}}
        if finding.line:
            physical["region"] = {"startLine": finding.line}
        location["physicalLocation"] = physical
    if finding.object:
        name = f"{finding.object}{finding.path}"
        location["logicalLocations"] = [{"fullyQualifiedName": name, "kind": "object"}]
    return location


def _fingerprint(finding: Finding) -> str:
    """The same finding after lines have moved."""
    parts = (finding.rule, finding.file, finding.object, finding.path, finding.message)
    return sha256("\n".join(parts).encode()).hexdigest()[:32]
