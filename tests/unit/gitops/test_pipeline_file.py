"""The pipeline file: every mistake at once, in people's words."""

import pytest

from pilothouse.gitops.pipeline_file import missing_pipeline, parse_pipeline

GOOD = """pipeline:
  agents:
    validator:
      trigger: webhook.pull_request
      mcp_tools: [read_file, rag_query, write_file]
      prompt: "Validate manifest syntax and semantic correctness"
    monitor: {trigger: cron.5min}
  environments:
    staging: {namespace: web-staging}
    production: {namespace: web, after: staging, approval: {required: true}}
"""


def mistakes(text: str) -> list[tuple[int, str, str]]:
    pipeline, findings = parse_pipeline(text.encode())
    assert pipeline is None
    assert all(f.severity == "error" and f.file == "pipeline.yaml" for f in findings)
    return [(finding.line, finding.path, finding.message) for finding in findings]


def test_a_good_file_has_no_findings_and_keeps_its_order() -> None:
    pipeline, findings = parse_pipeline(GOOD.encode())
    assert not findings
    assert pipeline is not None
    assert list(pipeline.agents) == ["validator", "monitor"]
    assert pipeline.promotion_order() == ("staging", "production")


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "message"),
    [
        (
            "mcp_tools:",
            "mcp_tool:",
            5,
            "/pipeline/agents/validator/mcp_tool",
            'unknown field "mcp_tool" (did you mean "mcp_tools"?)',
        ),
        (
            "  agents:",
            "  agnts:",
            2,
            "/pipeline/agnts",
            'unknown field "agnts" (did you mean "agents"?)',
        ),
        (
            "trigger: webhook.pull_request",
            "trigger: webhook.pul_request",
            4,
            "/pipeline/agents/validator/trigger",
            "'webhook.pul_request' is not a trigger",
        ),
        (
            "{namespace: web-staging}",
            "{namespce: web-staging}",
            9,
            "/pipeline/environments/staging/namespace",
            'required field "namespace" is missing',
        ),
        (
            "required: true",
            'required: "yes"',
            10,
            "/pipeline/environments/production/approval/required",
            'expected true or false, got a string ("yes")',
        ),
        (
            "after: staging",
            "after: nowhere",
            10,
            "/pipeline/environments/production/after",
            "names 'nowhere', which does not exist",
        ),
        (
            "monitor: {trigger: cron.5min}",
            "monitor: {trigger: 5}",
            7,
            "/pipeline/agents/monitor/trigger",
            "expected a string, got an integer (5)",
        ),
        (
            "monitor: {trigger: cron.5min}",
            "Monitor!: {trigger: cron.5min}",
            7,
            "/pipeline/agents/Monitor!",
            "is not allowed here",
        ),
        (
            "monitor: {trigger: cron.5min}",
            "monitor: text",
            7,
            "/pipeline/agents/monitor",
            'expected a mapping, got a string ("text")',
        ),
        (
            "monitor: {trigger: cron.5min}",
            "monitor: {trigger: manual, role: king}",
            7,
            "/pipeline/agents/monitor/role",
            'got a string ("king")',
        ),
        (
            "monitor: {trigger: cron.5min}",
            "monitor: {trigger: manual, commands: make test}",
            7,
            "/pipeline/agents/monitor/commands",
            'expected a list, got a string ("make test")',
        ),
    ],
)
def test_a_mistake_has_line_path_and_words(
    old: str, new: str, line: int, path: str, message: str
) -> None:
    found = [m for m in mistakes(GOOD.replace(old, new)) if m[1] == path]
    assert len(found) == 1
    assert found[0][0] == line
    assert message in found[0][2]


def test_all_mistakes_are_told_at_once() -> None:
    text = GOOD.replace("prompt:", "promt:").replace("cron.5min", "cron.often")
    text = text.replace("namespace: web,", "namespace: WEB,")
    assert {path for _, path, _ in mistakes(text)} == {
        "/pipeline/agents/validator/promt",
        "/pipeline/agents/monitor/trigger",
        "/pipeline/environments/production/namespace",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        (f"{GOOD}---\n{GOOD}", "2 documents"),
        ("- a\n", "expected a mapping, got a list"),
        ("text", "expected a mapping, got a string"),
        ("pipeline:\n", "expected a mapping, got null"),
        ("pipeline: {}\n", 'required field "agents" is missing'),
        ("pipeline: {agents: {}}\n", "at least one entry is required"),
        ("pipeline: [\n", "not closed"),
        ("pipeline: {agents: {a: {trigger: manual}}}\npipeline: {}\n", "a second time"),
    ],
)
def test_a_file_that_is_none_is_one_clear_finding(text: str, message: str) -> None:
    [(_, _, said)] = mistakes(text)
    assert message in said


def test_a_missing_file_says_what_to_add() -> None:
    finding = missing_pipeline()
    assert (finding.rule, finding.severity) == ("pipeline-file", "error")
    assert "pipeline.yaml" in finding.fix
