"""A pipeline as it is understood: who begins when, and what each agent may do."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.clients.models.scripted import Script
from pilothouse.gitops import triggers
from pilothouse.gitops.pipeline_file import check_pipeline
from pilothouse.gitops.pipelines import graph
from pilothouse.gitops.pipelines.overview import overview
from pilothouse.gitops.reports.pipelines import pipeline_text
from pilothouse.models.findings import Finding
from pilothouse.models.pipeline import Agent, McpServer, Pipeline

EXAMPLES = Path(__file__).parents[3] / "examples"
LICENCES = EXAMPLES / "licence-review"


def example(root: Path) -> tuple[Pipeline, list[Finding]]:
    data = (root / "pipeline.yaml").read_bytes()
    pipeline, findings = check_pipeline(data, has_file=lambda path: (root / path).is_file())
    assert pipeline is not None
    return pipeline, findings


@pytest.mark.parametrize("root", sorted(EXAMPLES.iterdir()), ids=lambda root: root.name)
def test_the_examples_have_no_findings(root: Path) -> None:
    _, findings = example(root)
    assert findings == []


# -- the fifth agent ------------------------------------------------------------------------------


def test_a_fifth_agent_has_its_turn_by_configuration_only() -> None:
    pipeline, _ = example(LICENCES)
    assert pipeline.role_of("licence-reviewer") == "general"
    assert graph.walk(pipeline, "push") == (
        "validator",
        "licence-reviewer",
        "tester",
        "deployer",
        "monitor",
    )
    assert graph.walk(pipeline, "pull-7") == ("validator", "licence-reviewer", "tester")


def test_nothing_is_tested_or_deployed_before_the_licences_are_accepted() -> None:
    pipeline, _ = example(LICENCES)
    emitted = {*triggers.opening_events("push"), "status.validated"}
    done = ["validator"]
    assert triggers.ready(pipeline, emitted, done) == ("licence-reviewer",)
    done.append("licence-reviewer")
    accepted, refused = triggers.emitted_events(pipeline, "licence-reviewer")
    assert triggers.ready(pipeline, emitted | {f"status.{refused}"}, done) == ()
    assert triggers.ready(pipeline, emitted | {f"status.{accepted}"}, done) == ("tester",)


def test_the_fifth_agents_model_has_a_script() -> None:
    script = Script.read(LICENCES / "scripts" / "licences.yaml")
    [reply] = script.replies
    assert reply.result is not None
    assert reply.result["decision"] == "pass"


# -- the walk -------------------------------------------------------------------------------------

NAMES = ("validator", "tester", "deployer", "monitor", "poet", "scribe")
EVENTS = ("validated", "tests_passed", "deployed", "poet_passed", "scribe_failed", "healthy", "no")
TRIGGERS = ("webhook.push", "webhook.pull_request", "manual", "cron.5min")
PIPELINES = st.dictionaries(
    st.sampled_from(NAMES),
    st.lists(
        st.sampled_from([*TRIGGERS, *(f"status.{event}" for event in EVENTS)]),
        min_size=1,
        max_size=3,
    ).map(lambda chosen: Agent(trigger=tuple(chosen))),
    min_size=1,
).map(lambda agents: Pipeline(agents=agents))


@given(PIPELINES, st.sampled_from(["push", "manual", "pull-7"]))
def test_a_walk_gives_each_agent_one_turn_and_only_after_what_it_waits_for(
    pipeline: Pipeline, event: str
) -> None:
    turns = graph.walk(pipeline, event)
    assert len(set(turns)) == len(turns)
    emitted = set(triggers.opening_events(event))
    for name in turns:
        assert name in triggers.ready(pipeline, emitted, ())
        emitted |= {f"status.{each}" for each in triggers.emitted_events(pipeline, name)}


@given(PIPELINES)
def test_each_agent_without_a_turn_is_told_of(pipeline: Pipeline) -> None:
    document = {"pipeline": pipeline.model_dump(mode="json")}
    understood, findings = check_pipeline(json.dumps(document).encode())
    assert understood == pipeline
    for name in set(pipeline.agents) - graph.started(pipeline):
        about = f"/pipeline/agents/{name}"
        circles = [each.message for each in findings if "begin each other" in each.message]
        assert any(each.path.startswith(about) for each in findings) or any(
            name in message for message in circles
        )


@given(PIPELINES)
def test_the_overview_says_of_each_event_what_begins_with_it(pipeline: Pipeline) -> None:
    shown = {agent.name: agent for agent in overview(pipeline).agents}
    assert list(shown) == list(pipeline.agents)
    for agent in shown.values():
        for event in agent.emits:
            for waiting in event.begins:
                [trigger] = [t for t in shown[waiting].triggers if t.trigger == event.event]
                assert agent.name in trigger.emitted_by


# -- what is shown --------------------------------------------------------------------------------


def test_each_tool_is_shown_with_its_server_class_and_worth_on_pull_requests() -> None:
    pin = "sha256:" + "a" * 64
    server = McpServer(
        url="https://me:hidden@mcp.example.org/mcp",
        token="cluster",
        tools={"get_logs": "read", "restart": "write"},
        pins={"get_logs": pin},
    )
    agent = Agent(
        trigger="manual",
        model="anthropic:some-model",
        prompt="Look.",
        mcp_tools=("get_logs", "cluster/restart", "write_file", "nonsense"),
    )
    shown = overview(
        Pipeline(agents={"poet": agent}, mcp_servers={"cluster": server}, environments={})
    )
    [poet] = shown.agents
    assert [(t.entry, t.server, t.kind, t.pinned, t.on_pull_requests) for t in poet.tools] == [
        ("get_logs", "cluster", "read", True, True),
        ("cluster/restart", "cluster", "write", False, False),
        ("write_file", "workspace", "write", False, False),
        ("nonsense", "", None, False, False),
    ]
    assert shown.mcp_servers[0].unpinned == ("restart",)
    text = pipeline_text(shown)
    assert "hidden" not in text + shown.model_dump_json()
    for line in (
        "    tool     cluster/get_logs: read",
        "    tool     cluster/restart: write, not on pull requests",
        "    tool     nonsense: cannot be called",
        "    budget   20 turns, 200,000 tokens, 5m",
        "  cluster: streamable-http https://mcp.example.org/mcp, credential cluster",
        f"    get_logs: read, {pin}",
        "    restart: write, not pinned",
        "environments: none",
    ):
        assert line in text.splitlines()


def test_the_graph_of_the_example_is_shown_as_a_person_reads_it() -> None:
    pipeline, _ = example(EXAMPLES / "model-api")
    text = pipeline_text(overview(pipeline))
    assert text.startswith(
        "agents:\n"
        "  validator\n"
        "    begins   webhook.pull_request\n"
        "    emits    status.validated -> tester\n"
        "    emits    status.rejected\n"
        "    on pull requests  may read\n"
        "    model    none: rules only\n"
        "  tester\n"
        "    begins   status.validated of validator\n"
        "    emits    status.tests_passed -> deployer\n"
    )
    assert "    begins   cron.5min, status.deployed of deployer\n" in text
    assert (
        "  production: namespace model-api-production, after staging; "
        "asks anyone but the authors for up to 4h\n"
    ) in text
