"""The short form of the pipeline file: the same pipeline in fewer words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.gitops.pipeline_file import check_pipeline, parse_pipeline
from pilothouse.models.pipeline import Pipeline
from tests.first_forms import SHORT

IN_FULL = """\
pipeline:
  agents:
    validator:
      trigger: [webhook.pull_request]
    deployer:
      trigger: [status.validated]
  environments:
    workspace:
      namespace: workspace
"""


def understood(text: str) -> Pipeline:
    pipeline, findings = parse_pipeline(text.encode())
    assert pipeline is not None, findings
    return pipeline


def mistakes(text: str) -> list[tuple[int, str, str]]:
    pipeline, findings = parse_pipeline(text.encode())
    assert pipeline is None
    assert all(found.rule == "pipeline-file" and found.severity == "error" for found in findings)
    return [(found.line, found.path, found.message) for found in findings]


def test_the_short_form_runs_as_it_is_written() -> None:
    pipeline, findings = check_pipeline(SHORT.encode())
    assert findings == []
    assert pipeline == understood(IN_FULL)


def test_each_action_begins_with_the_good_end_of_the_one_before_it() -> None:
    pipeline = understood(
        "workflow:\n"
        "  trigger: [push, webhook.pull_request, manual]\n"
        "  actions: [validate, test_it, deploy_to_staging, deploy_to_my_production, monitor]\n"
    )
    assert {name: agent.triggers for name, agent in pipeline.agents.items()} == {
        "validator": ("webhook.push", "webhook.pull_request", "manual"),
        "tester": ("status.validated",),
        "deployer": ("status.tests_passed",),
        "monitor": ("status.deployed",),
    }
    assert {n: (e.namespace, e.after) for n, e in pipeline.environments.items()} == {
        "staging": ("staging", None),
        "my_production": ("my-production", "staging"),
    }


@pytest.mark.parametrize(
    ("actions", "line", "path", "message"),
    [
        ("[validate_model, deplo_to_x]", 3, "/workflow/actions/1", "did you mean deploy_to_"),
        ("[deploy-to-x]", 3, "/workflow/actions/0", "did you mean deploy_to_<environment>?"),
        ("[valdiate_model]", 3, "/workflow/actions/0", "did you mean validate?"),
        ("[make_tea]", 3, "/workflow/actions/0", "'make_tea' is no action"),
        ("[deploy_to_]", 3, "/workflow/actions/0", "'deploy_to_' is no action"),
        ("[validate_a, validate_b]", 3, "/workflow/actions/1", "a second action of the validator"),
        ("[test, test]", 3, "/workflow/actions/1", "stands here a second time"),
        (
            "[deploy_to_a, test, deploy_to_b]",
            3,
            "/workflow/actions/2",
            "tester would have its turn between two deployments",
        ),
        ("[1]", 3, "/workflow/actions/0", "expected a string, got an integer (1)"),
        ("[]", 3, "/workflow/actions", "at least one entry is required"),
        ("validate", 3, "/workflow/actions", 'expected a list, got a string ("validate")'),
    ],
)
def test_a_mistake_in_an_action_has_its_line_and_a_suggestion(
    actions: str, line: int, path: str, message: str
) -> None:
    [found] = mistakes(f"workflow:\n  trigger: push\n  actions: {actions}\n")
    assert found[:2] == (line, path)
    assert message in found[2]


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (
            "workflow: {trigger: cron.5min, actions: [test]}",
            "/workflow/trigger",
            "is not a trigger",
        ),
        ("workflow: {trigger: [push, pusch], actions: [test]}", "/workflow/trigger", "'pusch'"),
        ("workflow: {triger: push, trigger: push, actions: [test]}", "/workflow/triger", "trigger"),
        ("workflow:", "/workflow", "expected a mapping, got null"),
        ("workflw: {trigger: push, actions: [test]}", "/workflw", '(did you mean "workflow"?)'),
    ],
)
def test_a_mistake_elsewhere_is_told_in_words(text: str, path: str, message: str) -> None:
    found = {where: said for _, where, said in mistakes(text)}
    assert message in found[path]


def test_a_file_has_one_of_the_two_forms() -> None:
    [(line, path, message)] = mistakes(f"{IN_FULL}{SHORT}")
    assert (line, path) == (10, "/workflow")
    assert "both `pipeline` and `workflow`" in message


def test_what_is_wrong_with_the_pipeline_is_told_at_the_action_that_it_comes_from() -> None:
    text = "workflow:\n  trigger: push\n  actions:\n    - test\n    - deploy_to_a-b\n"
    _, findings = check_pipeline(f"{text}    - deploy_to_a_b\n".encode())
    assert [(found.line, found.path, found.severity) for found in findings] == [
        (4, "/workflow/actions/0", "info"),
        (6, "/workflow/actions/2", "warning"),
    ]
    assert "same namespace" in findings[1].message


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9_]{0,8}[a-z0-9])?", fullmatch=True)


@given(
    st.lists(st.sampled_from(["pull_request", "push", "manual"]), min_size=1),
    st.permutations(["validate", "test", "deploy", "monitor"]),
    st.integers(1, 4),
    st.lists(NAMES, min_size=1, max_size=3, unique=True),
)
def test_the_short_form_means_the_same_as_the_pipeline_that_it_becomes(
    opened_by: list[str], order: list[str], many: int, environments: list[str]
) -> None:
    actions: list[str] = []
    for action in order[:many]:
        deployments = [f"deploy_to_{name}" for name in environments]
        actions += deployments if action == "deploy" else [action]
    short = json.dumps({"workflow": {"trigger": opened_by, "actions": actions}})
    pipeline = understood(short)
    in_full = {"pipeline": pipeline.model_dump(mode="json")}
    assert understood(json.dumps(in_full)) == pipeline
    assert len(pipeline.agents) == many
