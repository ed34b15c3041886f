"""Findings as text, SARIF and GitHub's workflow commands."""

from typing import Any

from pilothouse.gitops.reports.annotations import annotations
from pilothouse.gitops.reports.findings import validation_text
from pilothouse.gitops.reports.sarif import sarif
from pilothouse.gitops.validation.rules import RULES
from pilothouse.models.findings import Finding, report

ERROR = Finding(
    rule="schema",
    severity="error",
    file="my app/a.yaml",
    line=7,
    object="Deployment/shop",
    path="/spec/replicas",
    message='expected an integer, got "50%"',
    fix="Remove the quotes.",
)
WARNING = Finding(rule="policy/team", severity="warning", file="b.yaml", message="no team")
NOTE = Finding(rule="image-digest-missing", severity="info", file="a.yaml", line=1, message="tag")
NOWHERE = Finding(rule="nothing-checked", severity="warning", file="", message="nothing")
FINDINGS = (ERROR, WARNING, NOTE, NOWHERE)


def run(**options: str) -> dict[str, Any]:
    document: dict[str, Any] = sarif(FINDINGS, RULES, version="1.2.3", **options)
    assert document["version"] == "2.1.0"
    assert document["$schema"].endswith("sarif-2.1.0.json")
    (only,) = document["runs"]
    return dict(only)


def test_sarif_has_what_its_schema_requires() -> None:
    driver = run()["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("pilothouse", "1.2.3")
    for rule in driver["rules"]:
        assert rule["id"]
        assert rule["shortDescription"]["text"]
    for result in run()["results"]:
        assert result["message"]["text"]
        assert result["level"] in {"error", "warning", "note"}
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["partialFingerprints"]


def test_sarif_results_stand_at_their_lines() -> None:
    error, warning, note, nowhere = run(base="k8s/live")["results"]
    place = error["locations"][0]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "k8s/live/my%20app/a.yaml"},
        "region": {"startLine": 7},
    }
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "Deployment/shop/spec/replicas"
    assert "region" not in warning["locations"][0]["physicalLocation"]
    assert note["level"] == "note"
    assert "locations" not in nowhere


def test_sarif_describes_known_rules_with_help_and_counterparts() -> None:
    rules = {rule["id"]: rule for rule in run()["tool"]["driver"]["rules"]}
    assert set(rules) == {finding.rule for finding in FINDINGS}
    known = rules["image-digest-missing"]
    assert known["help"]["text"]
    assert known["defaultConfiguration"] == {"level": "note"}
    assert known["properties"]["counterparts"] == {"checkov": ["CKV_K8S_43"]}
    assert rules["policy/team"]["shortDescription"]["text"] == "Own rule policy/team"


def test_a_fingerprint_outlives_a_moved_line() -> None:
    def fingerprint(finding: Finding) -> object:
        document: dict[str, Any] = sarif([finding], RULES, version="1")
        return document["runs"][0]["results"][0]["partialFingerprints"]

    assert fingerprint(ERROR) == fingerprint(ERROR.model_copy(update={"line": 9}))
    assert fingerprint(ERROR) != fingerprint(ERROR.model_copy(update={"path": "/spec"}))


def test_annotations_are_one_command_a_line() -> None:
    assert annotations(FINDINGS, base="k8s") == [
        "::error file=k8s/my app/a.yaml,title=schema Deployment/shop,line=7::"
        'expected an integer, got "50%25"%0ARemove the quotes.',
        "::warning file=k8s/b.yaml,title=policy/team::no team",
        "::notice file=k8s/a.yaml,title=image-digest-missing,line=1::tag",
        "::warning title=nothing-checked::nothing",
    ]


def test_text_of_a_manifest_never_becomes_a_command() -> None:
    evil = Finding(
        rule="schema",
        severity="error",
        file="a,line=1:x.yaml",
        object="Pod/x\n::set-env name=A::b",
        message="ok\r\n::error::owned",
    )
    (line,) = annotations([evil])
    assert "\n" not in line
    assert "\r" not in line
    assert line.startswith("::error file=")  # Only what begins a line is a command.
    assert line.endswith("title=schema Pod/x%0A%3A%3Aset-env name=A%3A%3Ab::ok%0D%0A::error::owned")
    assert "file=a%2Cline=1%3Ax.yaml," in line


def test_notes_are_summed_up_and_the_rest_is_printed_in_full() -> None:
    titles = {rule.id: rule.title for rule in RULES}
    summary = report([*FINDINGS, NOTE.model_copy(update={"line": 2})], 3, limit=None)
    text = validation_text(summary, titles, everything=False)
    assert "my app/a.yaml:7: error [schema] Deployment/shop: expected an integer" in text
    assert "      2 [image-digest-missing] An image is not named by its digest\n" in text
    assert "a.yaml:1: info" not in text
    assert text.endswith("3 objects: 1 errors, 2 warnings, 2 notes\n")
    full = validation_text(summary, titles, everything=True)
    assert "a.yaml:1: info [image-digest-missing]: tag" in full
    assert "--all" not in full
