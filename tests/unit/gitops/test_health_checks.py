"""Health checks of a repository: CEL with Flux's order."""

from typing import Any

import pytest

from pilothouse.gitops.health import assess, needs_status
from pilothouse.gitops.health.checks import check_findings
from pilothouse.gitops.pipeline_file import parse_pipeline
from pilothouse.models.objects import ObjectRef
from pilothouse.models.pipeline import HealthCheck

CHECK = HealthCheck(
    api_version="example.com/v1",
    kind="Widget",
    in_progress="object.status.phase == 'Baking'",
    failed="status.phase in ['Burnt', 'Baking']",
    current="status.phase == 'Served' && metadata.name == 'it'",
)


def widget(status: Any, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "it", **metadata},
        "status": status,
    }


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        ("Baking", "Progressing"),  # `failed` is true as well: the first one decides.
        ("Burnt", "Degraded"),
        ("Served", "Healthy"),
        ("Cooling", "Progressing"),
    ],
)
def test_the_first_expression_that_is_true_decides(phase: str, expected: str) -> None:
    assert assess(widget({"phase": phase}), [CHECK]).status == expected


def test_a_check_is_for_its_kind_and_version_only() -> None:
    other = widget({"phase": "Served"}) | {"apiVersion": "example.com/v2"}
    assert assess(other, [CHECK]).status == "Unknown"
    assert assess(other).status == "Unknown"


def test_an_old_generation_is_progressing_before_any_expression() -> None:
    old = widget({"phase": "Served", "observedGeneration": 1}, generation=2)
    assert assess(old, [CHECK]).status == "Progressing"


def test_what_is_deleted_is_progressing_before_any_expression() -> None:
    dying = widget({"phase": "Served"}, deletionTimestamp="2026-01-01T00:00:00Z")
    assert assess(dying, [CHECK]).status == "Progressing"


def test_an_expression_without_an_answer_is_unknown_in_its_own_words() -> None:
    found = assess(widget({"stage": "Served"}), [CHECK])
    assert found.status == "Unknown"
    assert "phase" in found.message


def test_an_expression_that_is_no_truth_value_is_unknown() -> None:
    check = HealthCheck(api_version="example.com/v1", kind="Widget", current="status.phase")
    found = assess(widget({"phase": "Served"}), [check])
    assert found.status == "Unknown"
    assert "true or false" in found.message


def test_an_object_that_has_reported_nothing_yet_is_no_error() -> None:
    assert assess(widget({}), [CHECK]).status == "Progressing"


def test_a_built_in_kind_can_be_checked_too() -> None:
    check = HealthCheck(api_version="v1", kind="ConfigMap", current="data.ready == 'yes'")
    live: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "it"}}
    assert assess(live | {"data": {"ready": "yes"}}, [check]).status == "Healthy"
    assert assess(live | {"data": {"ready": "no"}}, [check]).status == "Progressing"
    ref = ObjectRef(api_version="v1", kind="ConfigMap", name="it")
    assert needs_status(ref, [check])
    assert not needs_status(ref)


def test_every_expression_that_is_no_cel_is_named() -> None:
    broken = HealthCheck(api_version="v1", kind="X", failed="a ==", current="status.")
    problems = check_findings([CHECK, broken])
    assert [(one.check, one.field) for one in problems] == [(1, "failed"), (1, "current")]


def test_an_unknown_variable_is_found_before_anything_runs() -> None:
    broken = HealthCheck(api_version="v1", kind="X", current="stauts.phase == 'x'")
    assert "stauts" in check_findings([broken])[0].message


def test_a_pipeline_file_with_a_broken_check_names_its_line() -> None:
    source = b"""\
pipeline:
  agents:
    tester: {trigger: manual}
  health_checks:
    - api_version: example.com/v1
      kind: Widget
      current: "status.phase =="
"""
    pipeline, findings = parse_pipeline(source)
    assert pipeline is None
    assert [(one.rule, one.line) for one in findings] == [("health-check", 7)]
    fixed, none = parse_pipeline(source.replace(b"==", b"== 'x'"))
    assert fixed is not None
    assert none == []
