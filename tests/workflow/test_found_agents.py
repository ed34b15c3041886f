"""What `pilothouse agents` finds in Temporal, and says of it."""

import pytest
from temporalio.client import Client

from pilothouse.clients.models.scripted import ScriptedReply
from pilothouse.clients.temporal.agents import FoundAgent, find_agents
from pilothouse.gitops.reports.transcripts import transcript_text
from pilothouse.models import names
from pilothouse.models.agents import AgentRequest, AgentResult
from pilothouse.models.conversations import Conversation
from pilothouse.models.errors import PermanentError
from pilothouse.models.pipeline import Agent, McpServer
from tests.workflow.voices import Voices, answer, calling, finding
from tests.workflow.world import World, revision, until

MODEL = "scripted:one"
ANSI = "\x1b[2Jcleared"


async def asked(client: Client, world: World, run: str, rev: str) -> None:
    request = AgentRequest(
        repository=world.repository,
        revision=rev,
        run=run,
        name="adviser",
        spec=Agent(trigger="manual", model=MODEL, mcp_tools=("look",)),
        servers={"k8s": McpServer(url="http://localhost:1/mcp", tools={"look": "read"})},
    )
    await client.execute_workflow(
        names.AGENT_WORKFLOW,
        request,
        id=names.agent_id(run, "adviser"),
        task_queue=names.WORKFLOW_QUEUE,
        result_type=AgentResult,
    )


async def found(client: Client, run: str, count: int) -> list[FoundAgent]:
    """What is found, once the index of the server has it."""

    async def enough() -> bool:
        return len(await find_agents(client, run)) == count

    await until(enough)
    return await find_agents(client, run)


def story(agent: FoundAgent, voices: Voices, *, full: bool) -> str:
    assert agent.result is not None
    text = voices.store.get(agent.result.transcript).decode()
    conversation = Conversation.model_validate_json(text)

    def read(digest: str) -> str:
        return voices.store.get(digest).decode()

    return "\n".join(transcript_text(agent.result, conversation, read, full=full))


async def test_a_run_shows_its_agents_and_those_of_its_deployments(
    client: Client, workers: World
) -> None:
    workers.voices.say(MODEL, answer())
    slug, rev = workers.repository.slug, revision(workers.repository.slug)
    run = names.pipeline_id(slug, "push", rev)
    deployment = names.deployment_id(slug, "staging", rev)
    for whose in (run, deployment):
        await asked(client, workers, whose, rev)
    of_run = await found(client, run, 2)
    assert [each.workflow for each in of_run] == [f"{run}/adviser", f"{deployment}/adviser"]
    assert [each.name for each in of_run] == ["adviser", "adviser"]
    assert len(await found(client, rev[:12], 2)) == 2
    assert len(await found(client, deployment, 1)) == 1
    assert (await found(client, f"{run}/adviser", 1))[0].status == "completed"


@pytest.mark.parametrize("run", ['x" OR WorkflowId != "', "two words", ""])
async def test_what_can_be_no_run_is_refused(run: str, client: Client) -> None:
    with pytest.raises(PermanentError, match="neither a workflow id"):
        await find_agents(client, run)


async def test_a_story_tells_what_was_seen_said_cited_and_paid(
    client: Client, workers: World
) -> None:
    voices = workers.voices
    voices.offer("k8s", "look")
    voices.answers["look"] = "\n".join(["0 of 3 are ready", *(f"line {n}" for n in range(20))])
    voices.say(
        MODEL,
        calling("k8s__look", text="pods"),
        answer(
            "block",
            finding("error", "nothing runs", E1="0 of 3 are ready"),
            finding("error", "the disk is full", E1="no space left"),
            summary=ANSI,
        ),
    )
    run = f"run/{workers.repository.slug}"
    await asked(client, workers, run, revision("a"))
    agent = (await found(client, run, 1))[0]
    told = story(agent, voices, full=False)
    for words in (
        "rules say pass, model says block, so it counts as block",
        "2 turns, 220 tokens, not known: no price for this model",
        "E1    k8s look",
        '> k8s__look {"text":"pods"}',
        "more lines: --full",
        "nothing runs (every quote stands there)",
        "the disk is full (a hypothesis)",
        "its quote does not stand in E1",
        "in the model's words: cleared",
    ):
        assert words in told
    assert "line 19" not in told
    assert "line 19" in story(agent, voices, full=True)
    assert "You advise a team" in story(agent, voices, full=True)


async def test_a_store_without_the_texts_is_said(client: Client, workers: World) -> None:
    workers.voices.say(MODEL, ScriptedReply(ending="refusal"))
    run = f"run/{workers.repository.slug}"
    await asked(client, workers, run, revision("a"))
    agent = (await found(client, run, 1))[0]
    assert agent.result is not None
    told = "\n".join(transcript_text(agent.result, None, lambda _: None, full=True))
    assert "not in this content store" in told
    assert "refused" in told
