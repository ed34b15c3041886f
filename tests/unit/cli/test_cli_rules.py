"""rules: the list of everything that validation looks for."""

import json

from typer.testing import CliRunner

from pilothouse.cli.main import application
from pilothouse.gitops.validation.rules import RULES


def test_every_rule_is_listed_as_json_with_its_counterparts() -> None:
    result = CliRunner().invoke(application("rules"), ["rules", "--output", "json"])
    assert result.exit_code == 0
    listed = {each["id"]: each for each in json.loads(result.stdout)}
    assert list(listed) == [rule.id for rule in RULES]
    assert listed["host-pid"] == {
        "id": "host-pid",
        "severity": "warning",
        "title": "A pod sees its node's processes",
        "why": "It can read their environment, and with a little more end or change them.",
        "fix": "Remove hostPID.",
        "counterparts": {
            "kubescape": ["C-0038"],
            "polaris": ["hostPIDSet"],
            "kube-linter": ["host-pid"],
            "checkov": ["CKV_K8S_17"],
            "pod-security": ["baseline:hostNamespaces", "baseline:hostnamespaces"],
        },
    }


def test_as_text_each_rule_has_a_line() -> None:
    result = CliRunner().invoke(application("rules"), ["rules"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == len(RULES)
    [line] = [line for line in lines if line.startswith("host-pid ")]
    assert " ".join(line.split()) == "host-pid warning A pod sees its node's processes"
