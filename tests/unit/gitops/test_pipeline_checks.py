"""What a pipeline file says that cannot be meant: each with its line, and how much it counts."""

import re

import pytest

from pilothouse.clients.models import registry
from pilothouse.gitops.pipeline_file import check_pipeline, parse_pipeline
from pilothouse.models.findings import Finding
from pilothouse.models.pipeline import MODEL_PROVIDERS
from tests.first_forms import FULL

GOOD = """\
pipeline:
  agents:
    validator:
      trigger: webhook.pull_request
    reviewer:
      trigger: status.validated
      prompt_file: agents/reviewer.md
      model: anthropic:some-model
      mcp_tools: [get_logs, tickets/search, read_file]
      emits: [accepted, refused]
    tester:
      trigger: status.accepted
      commands: [make test]
    deployer:
      trigger: status.tests_passed
    monitor:
      trigger: cron.5min
  environments:
    staging: {namespace: web-staging}
    production: {namespace: web, after: staging}
  mcp_servers:
    cluster:
      url: https://mcp.example.org/mcp
      tools: {get_logs: read, search: read}
    tickets:
      transport: stdio
      command: [tickets-mcp]
      tools: {search: read}
"""
PIN = "sha256:" + "a" * 64


def has_file(path: str) -> bool:
    return path == "agents/reviewer.md"


def told(text: str) -> list[Finding]:
    _, findings = check_pipeline(text.encode(), has_file=has_file)
    assert {finding.rule for finding in findings} <= {"pipeline-file"}
    return findings


def test_a_good_file_has_no_findings() -> None:
    assert told(GOOD) == []


def test_the_full_form_runs_as_it_is_written() -> None:
    pipeline, errors = parse_pipeline(FULL.encode())
    assert errors == []
    assert pipeline is not None
    assert [agent.triggers for agent in pipeline.agents.values()] == [
        ("webhook.pull_request",),
        ("status.validated",),
        ("status.tests_passed",),
        ("cron.5min",),
    ]


def test_the_full_form_is_told_where_it_deploys_to() -> None:
    assert [(each.line, each.severity, each.message) for each in told(FULL)] == [
        (7, "info", "tester has no commands: it tests nothing and emits tests_passed"),
        (11, "info", "no environment is declared: it deploys to the namespace default"),
    ]


def test_environments_that_are_given_and_empty_are_nowhere() -> None:
    messages = [each.message for each in told(f"{FULL}  environments: {{}}\n")]
    assert "there is no environment: nothing is rendered, checked or deployed" in messages


def line_of(text: str, words: str) -> int:
    return text[: text.index(words)].count("\n") + 1


CHANGES = [
    # agents
    (
        "prompt_file: agents/reviewer.md",
        "prompt_file: a.md\n      prompt: x",
        "prompt and prompt_fi",
    ),
    ("agents/reviewer.md", "agents/reviwer.md", "agents/reviwer.md does not exist"),
    ("anthropic:some-model", "claude", "'claude' is no model of a provider"),
    ("anthropic:some-model", "'anthropic:'", "'anthropic:' is no model of a provider"),
    ("anthropic:some-model", "'a b:c'", "'a b:c' is no model of a provider"),
    ("emits: [accepted", "emits: [accepted, accepted", "accepted stands here a second time"),
    (
        "model: anthropic:some-model",
        "role: external\n      model: scripted:x",
        "is external: somebody else does its work, so it has no model",
    ),
    ("commands: [make", "task_queue: pilothouse-git\n      commands: [make", "serves no model"),
    ("commands: [make", "task_queue: pilothouse\n      commands: [make", "serves no model"),
    ("commands: [make", "task_queue: my queue\n      commands: [make", "is not allowed here"),
    # tools and servers
    (
        "get_logs, tick",
        "get_log, tick",
        "'get_log' does: it cannot be called (did you mean 'get_log",
    ),
    ("tickets/search", "tickets/serch", "(did you mean 'search'?)"),
    ("read_file]", "read_fil]", "(did you mean 'read_file'?)"),
    ("read_file]", "workspace/read]", "'workspace/read' does: it cannot be called"),
    (
        "tickets/search",
        "ticket/search",
        "'ticket', which is not declared (did you mean 'tickets'?)",
    ),
    ("tickets/search", "search", "search is ambiguous: cluster and tickets each have it"),
    ("      url: https://mcp.example.org/mcp\n", "", "transport streamable-http needs a url"),
    ("https://mcp.example.org", "ftp://mcp.example.org", "the url is no http or https URL"),
    ("https://mcp.example.org/mcp", "'https://['", "the url is no http or https URL"),
    ("https://mcp.example.org", "https://me:secret@mcp.example.org", "the url holds credentials"),
    ("      command: [tickets-mcp]\n", "", "transport stdio needs a command"),
    ("tools: {search: read}", "tools: {search: read}\n      pins: {search: abc}", "is no digest"),
]


@pytest.mark.parametrize(("old", "new", "message"), CHANGES)
def test_what_contradicts_itself_is_an_error_at_its_line(old: str, new: str, message: str) -> None:
    text = GOOD.replace(old, new, 1)
    errors = [each for each in told(text) if each.severity == "error" and message in each.message]
    assert len(errors) == 1, told(text)
    assert errors[0].fix
    changed = [n for n, line in enumerate(text.splitlines(), 1) if line not in GOOD.splitlines()]
    where = changed or [line_of(text, "tickets:" if "a command" in message else "cluster:")]
    assert errors[0].line in where
    assert "secret" not in errors[0].message + errors[0].fix


def test_nothing_runs_by_a_file_with_an_error_but_a_missing_prompt_file() -> None:
    for old, new, _ in CHANGES:
        pipeline, errors = parse_pipeline(GOOD.replace(old, new, 1).encode())
        assert (pipeline is None) == bool(errors)
        # Whether the file is there is known when the agent begins; its on_error says what then.
        assert bool(errors) == (new != "agents/reviwer.md")


WARNINGS = [
    (
        "trigger: status.accepted",
        "trigger: status.acepted",
        "emits status.acepted (did you mean st",
    ),
    ("trigger: status.accepted", "trigger: [status.accepted, cron.1h]", "only monitors have sched"),
    ("trigger: cron.5min", "trigger: [cron.5min, cron.1h]", "cron.1h is a second schedule"),
    ("trigger: webhook.pull_request", "trigger: [manual, status.deployed]", "begin each other"),
    (
        "trigger: webhook.pull_request",
        "trigger: [manual, status.validated]",
        "each other: validator",
    ),
    ("refused]", "refused, tired]", "tired is never emitted"),
    ("emits: [accepted", "emits: [deployed", "deployed is what a deployer emits"),
    ("commands: [make", "emits: [a]\n      commands: [make", "always emits tests_passed, tests_fa"),
    (
        "    deployer:",
        "    second: {trigger: manual, role: tester, commands: [x]}\n    deployer:",
        "tester and second both emit tests_passed: deployer goes on after the first",
    ),
    (
        "    deployer:",
        "    scanner: {trigger: manual, role: external}\n    deployer:",
        "it ends with scanner_passed or scanner_failed",
    ),
    ("    deployer:", "    other:", "no agent is a deployer"),
    ("      commands: [make test]", "      commands: [x]\n      role: general", "is no tester"),
    ("anthropic:some-model", "antropic:some-model", "did you mean 'anthropic'?"),
    ("emits: [acc", "budget: {turns: 1}\n      emits: [acc", "the only turn has to be the answer"),
    ("emits: [acc", "budget: {tokens: 100}\n      emits: [acc", "100 tokens are hardly enough"),
    ("emits: [acc", "budget: {time: 2s}\n      emits: [acc", "2s is hardly enough"),
    ("namespace: web,", "namespace: web-staging,", "are the same namespace"),
    ("command: [tickets-mcp]", "command: [x]\n      url: https://a.example.org", "url is not used"),
    ("tools: {get_logs", "command: [x]\n      tools: {get_logs", "command is not used"),
    ("tools: {get_logs", f"pins: {{other: '{PIN}'}}\n      tools: {{get_logs", "is pinned and not"),
]


@pytest.mark.parametrize(("old", "new", "message"), WARNINGS)
def test_what_is_hardly_meant_is_a_warning_and_the_file_can_be_used(
    old: str, new: str, message: str
) -> None:
    text = GOOD.replace(old, new, 1)
    found = [each for each in told(text) if message in each.message]
    assert [each.severity for each in found] == ["warning"], told(text)
    assert found[0].line > 1
    assert found[0].fix
    pipeline, errors = parse_pipeline(text.encode())
    assert pipeline is not None
    assert errors == []


def test_a_provider_that_only_the_workers_settings_know_is_noted() -> None:
    [note] = told(GOOD.replace("anthropic:some-model", "ollama:qwen3:8b"))
    assert (note.severity, note.line) == ("info", 8)
    assert "PILOTHOUSE_MODEL_ENDPOINTS" in note.fix


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("      model: anthropic:some-model\n", "", 5, "has neither rules nor a model"),
        ("cron.5min", "cron.5min\n      on_error: fail", 18, "monitor has no model"),
        ("      commands: [make test]\n", "", 11, "tester has no commands"),
    ],
)
def test_what_does_nothing_is_noted(old: str, new: str, line: int, message: str) -> None:
    [note] = told(GOOD.replace(old, new, 1))
    assert (note.severity, note.line) == ("info", line)
    assert message in note.message


def test_the_providers_that_the_file_may_name_are_those_that_the_worker_has() -> None:
    assert registry.KNOWN == MODEL_PROVIDERS


def test_the_tools_of_a_declared_server_come_before_our_own() -> None:
    own = GOOD.replace("tools: {get_logs: read", "tools: {read_file: write, get_logs: read")
    assert told(own) == []
    taken = GOOD.replace("    tickets:", "    workspace:").replace("tickets/search, ", "")
    assert [each.message for each in told(taken)] == [
        "no server's tools say what 'read_file' does: it cannot be called"
    ]


def test_agents_that_can_never_begin_are_named() -> None:
    text = GOOD.replace("trigger: webhook.pull_request", "trigger: [status.accepted]")
    messages = [each.message for each in told(text)]
    assert any(
        re.search("begin each other: validator -> reviewer -> validator", m) for m in messages
    )
    assert [m.split()[0] for m in messages if "never has a turn" in m] == ["tester", "deployer"]


def test_all_findings_come_at_once_in_the_order_of_the_file() -> None:
    text = GOOD
    for old, new in (("get_logs, tick", "get_log, tick"), ("status.accepted", "status.x")):
        text = text.replace(old, new, 1)
    lines = [each.line for each in told(text.replace("https://mcp", "ftp://mcp"))]
    assert lines == sorted(lines)
    assert len(lines) == 4
