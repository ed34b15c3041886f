"""Stages that ask a model: what it says can stop a run and never push one, however it fails."""

import asyncio
from pathlib import Path
from typing import Any, Literal

import pytest
from temporalio.client import Client, WorkflowHandle

from pilothouse.clients.models import Prompt, Reply
from pilothouse.clients.models.scripted import ScriptedReply
from pilothouse.gitops.pipeline_file import parse_pipeline
from pilothouse.models import names
from pilothouse.models.findings import Finding
from pilothouse.models.objects import canonical_json
from pilothouse.models.pipeline import Agent, Budget, Environment, McpServer, Pipeline
from pilothouse.models.runs import PipelineRequest, PipelineResult, StageReport
from tests.workflow.driving import phase
from tests.workflow.voices import Voices, answer, finding
from tests.workflow.world import World, revision, until

MODEL = "scripted:one"
REV = revision("a")
EXAMPLE = Path(__file__).parents[2] / "examples" / "licence-review"
OnError = Literal["rules", "human", "fail"]
QUOTES = {"validator": "0 errors", "reviewer": "0 errors", "tester": "passed", "deployer": "Plan"}
"""Agent -> words that stand in the first text that it is shown."""
EVENTS = {
    "validator": "status.rejected",
    "reviewer": "status.refused",
    "tester": "status.tests_failed",
    "deployer": "status.deploy_failed",
}
ASKED = tuple(QUOTES)
AGENTS = {
    "validator": Agent(trigger="webhook.pull_request"),
    "reviewer": Agent(trigger="status.validated", emits=("accepted", "refused")),
    "tester": Agent(trigger="status.accepted", commands=("true",)),
    "deployer": Agent(trigger="status.tests_passed"),
}


@pytest.fixture
def world(world: World) -> World:
    """One environment that asks nobody; a fifth agent between validator and tester."""
    world.pipeline = Pipeline(agents=AGENTS, environments={"staging": Environment(namespace="app")})
    return world


def give_model(world: World, agent: str, **fields: Any) -> None:
    asking = world.pipeline.agents[agent].model_copy(
        update={"model": MODEL, "prompt": "Look.", **fields}
    )
    agents = {**world.pipeline.agents, agent: asking}
    world.pipeline = world.pipeline.model_copy(update={"agents": agents})


async def begin(
    client: Client, world: World, event: str = "push", rev: str = REV
) -> WorkflowHandle[Any, PipelineResult]:
    return await client.start_workflow(
        names.PIPELINE_WORKFLOW,
        PipelineRequest(repository=world.repository, revision=rev, event=event),
        id=names.pipeline_id(world.repository.slug, event, rev),
        task_queue=names.WORKFLOW_QUEUE,
        result_type=PipelineResult,
    )


async def run(client: Client, world: World, event: str = "push") -> PipelineResult:
    async with asyncio.timeout(60):
        return await (await begin(client, world, event)).result()


def stage(result: PipelineResult, agent: str) -> StageReport:
    return next(each for each in result.stages if each.agent == agent)


def deployment(client: Client, world: World) -> WorkflowHandle[Any, Any]:
    return client.get_workflow_handle(names.deployment_id(world.repository.slug, "staging", REV))


async def asked(client: Client, world: World) -> str:
    """Wait until a person is asked about staging; why."""
    handle = deployment(client, world)
    await until(lambda: exists(handle))
    await phase(handle, "approval")
    notices = (await handle.query(names.QUERY_STATE))["notices"]
    return " ".join(notices)


async def rejected(
    client: Client, world: World, run: WorkflowHandle[Any, PipelineResult]
) -> PipelineResult:
    """Say no to staging's plan; how the run ends then."""
    claim = {"by": "eve@example.org", "plan": world._plan(world.content(REV)), "reason": "no"}
    await deployment(client, world).signal(names.SIGNAL_REJECT, claim)
    return await run.result()


async def exists(handle: WorkflowHandle[Any, Any]) -> bool:
    found = [each async for each in handle._client.list_workflows(f"WorkflowId = '{handle.id}'")]
    return bool(found)


# -- what a model says ----------------------------------------------------------------------------


@pytest.mark.parametrize("agent", ASKED)
async def test_what_a_model_blocks_stops(agent: str, client: Client, workers: World) -> None:
    give_model(workers, agent)
    cited = finding("error", "it cannot work", E1=QUOTES[agent])
    workers.voices.say(MODEL, answer("block", cited))
    result = await run(client, workers)
    report = stage(result, agent)
    assert (result.outcome, report.outcome, report.event) == ("blocked", "blocked", EVENTS[agent])
    advice = report.advice or (report.deployment and report.deployment.advice)
    assert advice
    assert (advice.rules, advice.model_verdict, advice.verdict) == ("pass", "block", "block")
    assert advice.findings[0].resolved
    assert not workers.applied
    assert "it cannot work" in result.report, "people read the model's words in the run's report"
    assert "the model says block" in report.summary


@pytest.mark.parametrize("agent", ASKED)
async def test_what_a_model_passes_goes_on(agent: str, client: Client, workers: World) -> None:
    give_model(workers, agent)
    workers.voices.say(MODEL, answer("pass"))
    result = await run(client, workers)
    assert result.outcome == "succeeded"
    assert len(workers.voices.prompts) == 1
    assert len(workers.applied) == 1


async def test_a_model_does_not_pass_what_the_rules_block(client: Client, workers: World) -> None:
    give_model(workers, "validator")
    workers.voices.say(MODEL, answer("pass"))
    workers.findings[REV] = [Finding(rule="schema", severity="error", file="a", message="bad")]
    report = stage(await run(client, workers), "validator")
    assert report.outcome == "blocked"
    assert report.advice
    assert (report.advice.rules, report.advice.model_verdict) == ("block", "pass")
    assert report.advice.verdict == "block"


async def test_a_model_does_not_turn_a_failed_test_into_a_passed_one(
    client: Client, workers: World
) -> None:
    give_model(workers, "tester")
    workers.tests_pass = False
    workers.voices.say(MODEL, answer("pass", summary="this test is flaky"))
    result = await run(client, workers)
    report = stage(result, "tester")
    assert (report.outcome, report.event) == ("failed", "status.tests_failed")
    assert report.advice
    assert (report.advice.rules, report.advice.model_verdict) == ("block", "pass")
    assert not workers.applied
    shown = str(workers.voices.prompts[0].conversation.messages[0])
    assert "said the test" in shown, "it reads what the tests printed"


@pytest.mark.parametrize("agent", ASKED)
async def test_who_asks_for_a_person_has_one_asked(
    agent: str, client: Client, workers: World
) -> None:
    give_model(workers, agent)
    workers.voices.say(MODEL, answer("pass", needs_human=True))
    handle = await begin(client, workers)
    why = await asked(client, workers)
    assert f"a person is asked: {agent}: the model says review, and asks for a person" in why
    assert not workers.applied
    assert (await rejected(client, workers, handle)).outcome == "blocked"


async def test_an_approver_reads_the_models_words_beside_the_question(
    client: Client, workers: World
) -> None:
    give_model(workers, "deployer")
    workers.voices.say(MODEL, answer("pass", summary="one image *changes*", needs_human=True))
    handle = await begin(client, workers)
    await asked(client, workers)
    details = await deployment(client, workers).query("__temporal_workflow_metadata")
    text = str(details)
    assert "not a decision: one image \\\\*changes\\\\*" in text
    assert text.index("Waits for a person") < text.index("not a decision")
    claim = {"by": "eve@example.org", "plan": workers._plan(workers.content(REV))}
    await deployment(client, workers).signal(names.SIGNAL_APPROVE, claim)
    assert (await handle.result()).outcome == "succeeded"


# -- what goes wrong ------------------------------------------------------------------------------


def nonsense(voices: Voices) -> None:
    voices.say(MODEL, ScriptedReply(text="I like it."), ScriptedReply(text="Really."))


def down(voices: Voices) -> None:
    voices.models.clear()


FAULTS = {"malformed": nonsense, "provider": down}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("agent", ASKED)
@pytest.mark.parametrize("on_error", ["rules", "fail", "human"])
async def test_without_an_answer_on_error_decides(
    agent: str, fault: str, on_error: OnError, client: Client, workers: World
) -> None:
    give_model(workers, agent, on_error=on_error)
    FAULTS[fault](workers.voices)
    handle = await begin(client, workers)
    if on_error == "human":
        assert f"{agent}: the model gave no usable answer ({fault})" in await asked(client, workers)
        assert (await rejected(client, workers, handle)).outcome == "blocked"
        return
    result = await handle.result()
    report = stage(result, agent)
    advice = report.advice or (report.deployment and report.deployment.advice)
    assert advice
    assert (advice.outcome, advice.model_verdict) == (fault, None)
    if on_error == "rules":
        assert (result.outcome, len(workers.applied)) == ("succeeded", 1)
    else:
        assert (result.outcome, report.outcome) == ("blocked", "blocked")
        assert report.event == EVENTS[agent]
        assert not workers.applied


@pytest.mark.parametrize(("agent", "outcome"), [("validator", "blocked"), ("deployer", "blocked")])
async def test_a_model_that_takes_too_long_counts_as_none(
    agent: str, outcome: str, client: Client, workers: World
) -> None:
    give_model(workers, agent, on_error="fail", budget=Budget(time="1s"))
    workers.voices.say(MODEL, ScriptedReply(seconds=120))
    assert stage(await run(client, workers), agent).outcome == outcome


@pytest.mark.parametrize("way", ["terminate", "cancel"])
async def test_an_agent_that_somebody_ends_is_no_lost_run(
    way: str, client: Client, workers: World
) -> None:
    give_model(workers, "validator")
    silent = workers.voices.models[MODEL] = Silent()
    handle = await begin(client, workers)
    await asyncio.wait_for(silent.asked.wait(), 20)
    agent = client.get_workflow_handle(names.agent_id(handle.id, "validator"))
    await getattr(agent, way)()
    result = await asyncio.wait_for(handle.result(), 30)
    report = stage(result, "validator")
    assert report.advice
    assert (result.outcome, report.advice.outcome) == ("succeeded", "provider")


async def test_texts_that_cannot_be_gathered_are_no_lost_run(
    client: Client, workers: World
) -> None:
    give_model(workers, "reviewer", on_error="fail")
    workers.nothing_to_show = True
    result = await run(client, workers)
    assert result.outcome == "blocked"
    assert "the texts are gone" in stage(result, "reviewer").summary
    assert not workers.voices.prompts


# -- a newer revision -----------------------------------------------------------------------------


class Silent:
    """A model that never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def complete(self, _prompt: Prompt) -> Reply:
        self.asked.set()
        await asyncio.sleep(300)
        raise AssertionError("nobody hung up")


@pytest.mark.parametrize("agent", ASKED)
async def test_a_newer_revision_stops_the_agent_that_thinks(
    agent: str, client: Client, workers: World
) -> None:
    give_model(workers, agent)
    silent = workers.voices.models[MODEL] = Silent()
    handle = await begin(client, workers)
    await asyncio.wait_for(silent.asked.wait(), 20)
    await handle.signal(names.SIGNAL_SUPERSEDE, {"by": revision("b")})
    result = await asyncio.wait_for(handle.result(), 10)
    assert result.outcome == "superseded"
    assert stage(result, agent).outcome == "superseded"


async def test_the_run_says_whom_it_waits_for(client: Client, workers: World) -> None:
    give_model(workers, "validator")
    silent = workers.voices.models[MODEL] = Silent()
    handle = await begin(client, workers)
    await asyncio.wait_for(silent.asked.wait(), 20)
    details = str(await handle.query("__temporal_workflow_metadata"))
    assert f"{handle.id}/validator" in details
    await handle.signal(names.SIGNAL_SUPERSEDE, {"by": revision("b")})
    assert (await handle.result()).outcome == "superseded"


# -- who is asked, and by whose words -------------------------------------------------------------


async def test_without_a_model_nobody_is_asked(client: Client, workers: World) -> None:
    result = await run(client, workers)
    assert result.outcome == "succeeded"
    assert stage(result, "reviewer").outcome == "skipped"
    assert "no model is configured" in stage(result, "reviewer").summary
    assert not any(report.advice for report in result.stages)
    assert not workers.gathered


async def test_a_plan_that_changes_nothing_is_not_explained(client: Client, workers: World) -> None:
    give_model(workers, "deployer", on_error="fail")
    workers.unchanged = True
    assert (await run(client, workers)).outcome == "succeeded"
    assert not workers.gathered


async def test_a_pull_request_is_judged_by_the_words_of_its_base(
    client: Client, workers: World
) -> None:
    give_model(workers, "validator", prompt="", prompt_file="agents/v.md", mcp_tools=("change",))
    server = McpServer(url="http://localhost:1/mcp", tools={"change": "write"})
    workers.pipeline = workers.pipeline.model_copy(update={"mcp_servers": {"k8s": server}})
    workers.voices.offer("k8s", "change")
    base = revision("base")
    workers.heads["refs/heads/main"] = base
    for rev, words in ((base, "words of the base"), (REV, "words of the request")):
        workers.contents[rev] = tree_of(workers.voices, {"agents/v.md": words})
    workers.voices.say(MODEL, answer("pass"))
    result = await run(client, workers, event="pull-7")
    system = workers.voices.prompts[0].conversation.system
    assert "words of the base" in system
    assert "words of the request" not in system
    advice = stage(result, "validator").advice
    assert advice
    assert [each.reason for each in advice.left_out] == ["ceiling"], "it may only read"


def tree_of(voices: Voices, files: dict[str, str]) -> str:
    """Files in the store; the text whose digest is their tree's address."""
    tree = canonical_json({
        path: {"mode": "100644", "size": len(text), "digest": voices.store.put(text.encode())}
        for path, text in files.items()
    })
    voices.store.put(tree)
    return tree.decode()


async def test_a_monitors_model_only_makes_it_worse(client: Client, workers: World) -> None:
    watching = {**workers.pipeline.agents, "monitor": Agent(trigger="cron.5min")}
    workers.pipeline = workers.pipeline.model_copy(update={"agents": watching})
    give_model(workers, "monitor")
    cited = finding("error", "too few objects", E1="3 objects")
    workers.voices.say(MODEL, answer("block", cited))
    report = stage(await run(client, workers), "monitor")
    assert (report.outcome, report.event) == ("failed", "status.degraded")
    assert report.advice
    assert (report.advice.rules, report.advice.verdict) == ("pass", "block")


# -- by configuration only ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decision", "outcome", "stages"),
    [("pass", "succeeded", 5), ("block", "blocked", 2)],
)
async def test_a_fifth_agent_is_added_by_configuration_only(
    decision: str, outcome: str, stages: int, client: Client, workers: World
) -> None:
    pipeline, findings = parse_pipeline((EXAMPLE / "pipeline.yaml").read_bytes())
    assert pipeline is not None, findings
    workers.pipeline = pipeline
    prompt = (EXAMPLE / "agents" / "licences.md").read_text()
    workers.contents[REV] = tree_of(workers.voices, {"agents/licences.md": prompt})
    found = [finding("error", "not allowed", E1="0 errors")] if decision == "block" else []
    workers.voices.say("scripted:licences", answer(decision, *found))
    result = await run(client, workers)
    assert result.outcome == outcome
    assert len(result.stages) == stages
    assert result.stages[1].agent == "licence-reviewer"
    assert prompt.split("\n")[0] in workers.voices.prompts[0].conversation.system
