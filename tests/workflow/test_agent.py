"""AgentWorkflow on a real server: models and MCP servers are scripted, the rest is real."""

import asyncio
import re
from base64 import b64decode
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from pilothouse.clients.models import Prompt, Reply
from pilothouse.clients.models.scripted import ScriptedReply
from pilothouse.models import names
from pilothouse.models.agents import AgentRequest, AgentResult
from pilothouse.models.conversations import Conversation
from pilothouse.models.objects import canonical_json, digest_of
from pilothouse.models.pipeline import Agent, Budget, McpServer
from pilothouse.models.tools import Material
from tests.workflow.voices import Voices, answer, calling, finding
from tests.workflow.world import World, revision, until

MODEL = "scripted:one"
LOGS = "panic: no model file\nat line 3\n"
SERVER = McpServer(
    url="http://localhost:1/mcp",
    tools={"look": "read", "peek": "read", "change": "write", "page": "external"},
)


def spec(**fields: Any) -> Agent:
    return Agent(**{"trigger": "manual", "model": MODEL, "prompt": "Look closely.", **fields})


def material(voices: Voices, text: str, number: int = 1) -> Material:
    data = text.encode()
    return Material(
        id=f"E{number}", kind="log", title="logs", content=voices.store.put(data), size=len(data)
    )


async def begin(
    client: Client, world: World, *materials: Material, **fields: Any
) -> WorkflowHandle[Any, AgentResult]:
    request = AgentRequest(**{
        "repository": world.repository,
        "revision": revision("a"),
        "run": "run/1",
        "name": "adviser",
        "spec": spec(),
        "servers": {"k8s": SERVER},
        "tree": digest_of(b"tree"),
        "read_only": False,
        "material": materials,
        **fields,
    })
    return await client.start_workflow(
        names.AGENT_WORKFLOW,
        request,
        id=names.agent_id(world.repository.slug, "adviser"),
        task_queue=names.WORKFLOW_QUEUE,
        result_type=AgentResult,
    )


async def consult(client: Client, world: World, *materials: Material, **fields: Any) -> AgentResult:
    return await (await begin(client, world, *materials, **fields)).result()


# -- answers --------------------------------------------------------------------------------------


async def test_an_error_whose_quote_stands_in_what_was_shown_blocks(
    client: Client, workers: World
) -> None:
    voices = workers.voices
    voices.say(MODEL, answer("block", finding("error", "it panics", E1="no model file")))
    result = await consult(client, workers, material(voices, LOGS))
    assert (result.outcome, result.verdict, result.model_verdict) == ("answered", "block", "block")
    assert result.findings[0].resolved
    assert (result.turns, result.usage.input_tokens) == (1, 100)
    assert result.usage.cost is None, "no price is known, and none is guessed"
    prompt = voices.prompts[0]
    assert "Look closely." in prompt.conversation.system
    assert "no model file" not in prompt.conversation.system


async def test_an_error_that_cites_what_nobody_showed_is_a_hypothesis(
    client: Client, workers: World
) -> None:
    voices = workers.voices
    voices.say(MODEL, answer("block", finding("error", "it panics", E1="the disk is full")))
    result = await consult(client, workers, material(voices, LOGS))
    assert (result.verdict, result.model_verdict) == ("review", "review")
    assert not result.findings[0].resolved
    assert "does not stand in E1" in result.hypotheses[0]


async def test_a_model_never_softens_what_the_rules_decided(client: Client, workers: World) -> None:
    workers.voices.say(MODEL, answer("pass"))
    result = await consult(client, workers, rules="block")
    assert (result.model_verdict, result.verdict) == ("pass", "block")


async def test_credentials_in_material_reach_no_prompt(client: Client, workers: World) -> None:
    voices = workers.voices
    voices.say(MODEL, answer())
    await consult(client, workers, material(voices, "password=hunter2-canary\n"))
    assert "hunter2" not in voices.prompts[0].conversation.model_dump_json()
    assert "<REDACTED:" in voices.prompts[0].conversation.model_dump_json()


# -- tools ----------------------------------------------------------------------------------------


async def test_what_a_tool_answers_can_be_cited(client: Client, workers: World) -> None:
    voices = workers.voices
    voices.offer("k8s", "look")
    voices.answers["look"] = "replicas: 0 of 3 are ready"
    cited = finding("error", "nothing runs", E1="0 of 3 are ready")
    voices.say(MODEL, calling("k8s__look", text="pods"), answer("block", cited))
    result = await consult(client, workers, spec=spec(mcp_tools=("look",)))
    assert result.verdict == "block"
    assert result.tools == {"k8s__look": 1}
    assert voices.called == [("k8s", "look", {"text": "pods"})]
    assert [each.id for each in result.shown] == ["E1"]


async def test_after_text_from_outside_only_reads_are_run(client: Client, workers: World) -> None:
    voices = workers.voices
    voices.offer("k8s", "look", "change", "page")
    voices.say(
        MODEL,
        calling("k8s__change", text="before"),
        calling("k8s__look"),
        calling("k8s__change", text="after"),
        calling("k8s__page", text="after"),
        answer(),
    )
    result = await consult(client, workers, spec=spec(mcp_tools=("look", "change", "page")))
    # What a tool answers is from outside as well: the first answer taints.
    assert [tool for _, tool, _ in voices.called] == ["change", "look"]
    assert result.outcome == "answered"
    said = voices.prompts[-1].conversation.model_dump_json()
    assert said.count("you have read text from outside") == 2


async def test_a_read_only_run_is_not_even_told_of_writes(client: Client, workers: World) -> None:
    voices = workers.voices
    voices.offer("k8s", "look", "change")
    voices.say(MODEL, calling("k8s__change"), answer())
    result = await consult(client, workers, spec=spec(mcp_tools=("look", "change")), read_only=True)
    assert voices.called == []
    assert {each.tool: each.reason for each in result.left_out} == {"change": "ceiling"}
    assert "there is no such tool" in voices.prompts[-1].conversation.model_dump_json()


async def test_reads_of_one_turn_run_at_the_same_time(client: Client, workers: World) -> None:
    voices = workers.voices
    voices.offer("k8s", "look", "peek")
    voices.slow = 0.3
    both = (*calling("k8s__look").calls, *calling("k8s__peek").calls)
    voices.say(MODEL, ScriptedReply(calls=both), answer())
    await consult(client, workers, spec=spec(mcp_tools=("look", "peek")))
    assert voices.most_at_once == 2
    results = voices.prompts[-1].conversation.messages[-1].blocks
    assert [block.type for block in results] == ["tool_result", "tool_result"]


async def test_a_model_that_goes_in_circles_is_stopped(client: Client, workers: World) -> None:
    voices = workers.voices
    voices.offer("k8s", "look")
    voices.say(MODEL, calling("k8s__look", text="again"))
    result = await consult(client, workers, spec=spec(mcp_tools=("look",)))
    assert result.outcome == "loop"
    assert len(voices.called) == 2, "the third is answered, the fourth ends it"


async def test_a_server_of_tools_that_refuses_us_is_on_error(
    client: Client, workers: World
) -> None:
    workers.voices.down.add("k8s")
    workers.voices.say(MODEL, answer())
    result = await consult(client, workers, spec=spec(mcp_tools=("look",), on_error="human"))
    assert (result.outcome, result.needs_human) == ("tools", True)
    assert "refuses us" in result.message
    assert workers.voices.prompts == []


# -- ends without an answer -----------------------------------------------------------------------

BROKEN = {
    "refused": [ScriptedReply(text="I cannot", ending="refusal")],
    "truncated": [ScriptedReply(text="The", ending="max_tokens")],
    "malformed": [ScriptedReply(result={"decision": "maybe"})],
    "provider": [ScriptedReply(fault="refused")],
}


@pytest.mark.parametrize("outcome", BROKEN)
@pytest.mark.parametrize(
    ("on_error", "verdict", "asks"),
    [("rules", "pass", False), ("human", "review", True), ("fail", "block", False)],
)
async def test_on_error_says_what_counts_without_an_answer(
    outcome: str, on_error: Any, verdict: str, asks: bool, client: Client, workers: World
) -> None:
    workers.voices.say(MODEL, *BROKEN[outcome])
    result = await consult(client, workers, spec=spec(on_error=on_error))
    assert (result.outcome, result.verdict, result.needs_human) == (outcome, verdict, asks)
    assert result.model_verdict is None
    assert result.message


@pytest.mark.parametrize(
    "first",
    [
        ScriptedReply(text="It looks good to me."),
        ScriptedReply(text="The", ending="max_tokens"),
        ScriptedReply(result={"decision": "pass", "summary": "x", "extra": 1}),
    ],
)
async def test_one_unusable_reply_is_forgiven(
    first: ScriptedReply, client: Client, workers: World
) -> None:
    voices = workers.voices
    voices.say(MODEL, first, answer("review"))
    result = await consult(client, workers)
    assert (result.outcome, result.turns) == ("answered", 2)
    assert voices.prompts[1].force_result
    assert re.search("result tool|submit_answer", str(voices.prompts[1].conversation.messages[-1]))


async def test_the_last_turn_of_a_budget_must_be_the_answer(client: Client, workers: World) -> None:
    voices = workers.voices
    voices.offer("k8s", "look")
    turns = [calling("k8s__look", text=str(n)) for n in range(3)]
    voices.say(MODEL, *turns, answer())
    result = await consult(client, workers, spec=spec(mcp_tools=("look",), budget=Budget(turns=4)))
    assert (result.outcome, result.turns) == ("answered", 4)
    assert [prompt.force_result for prompt in voices.prompts] == [False, False, False, True]


@pytest.mark.parametrize(
    "budget", [Budget(tokens=250), Budget(turns=1), Budget(cost=0.01)], ids=repr
)
async def test_a_spent_budget_ends_it(budget: Budget, client: Client, workers: World) -> None:
    voices = workers.voices
    voices.offer("k8s", "look")
    voices.say(MODEL, *(calling("k8s__look", text=str(n)) for n in range(9)))
    result = await consult(client, workers, spec=spec(mcp_tools=("look",), budget=budget))
    assert result.outcome in {"budget", "malformed"}
    assert result.turns <= 4


async def test_a_reply_without_room_for_another_is_named_for_what_it_is(
    client: Client, workers: World
) -> None:
    workers.voices.say(MODEL, ScriptedReply(text="The", ending="max_tokens"))
    result = await consult(client, workers, spec=spec(budget=Budget(turns=1)))
    assert (result.outcome, result.turns) == ("truncated", 1)


async def test_a_model_that_takes_too_long_is_not_waited_for(
    client: Client, workers: World
) -> None:
    workers.voices.say(MODEL, ScriptedReply(seconds=60))
    async with asyncio.timeout(50):
        result = await consult(client, workers, spec=spec(budget=Budget(time="1s")))
    assert result.outcome == "provider"


async def test_a_prompt_file_that_is_missing_is_said(client: Client, workers: World) -> None:
    voices = workers.voices
    tree = voices.store.put(canonical_json({}))
    result = await consult(
        client, workers, spec=spec(prompt="", prompt_file="agents/x.md"), tree=tree
    )
    assert result.outcome == "misdeclared"
    assert "agents/x.md" in result.message


async def test_prompts_come_from_the_revision_that_governs(client: Client, workers: World) -> None:
    voices = workers.voices
    trees = {}
    for word in ("base", "theirs"):
        digest = voices.store.put(f"words of {word}".encode())
        entry = {"agents/x.md": {"mode": "100644", "digest": digest, "size": 3}}
        trees[word] = voices.store.put(canonical_json(entry))
    voices.say(MODEL, answer())
    await consult(
        client,
        workers,
        spec=spec(prompt="", prompt_file="agents/x.md"),
        tree=trees["theirs"],
        prompt_tree=trees["base"],
    )
    system = voices.prompts[0].conversation.system
    assert "words of base" in system
    assert "words of theirs" not in system


# -- while it runs --------------------------------------------------------------------------------


class Silent:
    """A model that never answers, and notices when it is hung up on."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hung_up = asyncio.Event()

    async def complete(self, _prompt: Prompt) -> Reply:
        self.asked.set()
        try:
            await asyncio.sleep(300)
        except asyncio.CancelledError:
            self.hung_up.set()
            raise
        raise AssertionError("nobody hung up")


async def test_a_newer_revision_hangs_up_at_once(client: Client, workers: World) -> None:
    silent = Silent()
    workers.voices.models[MODEL] = silent
    handle = await begin(client, workers, rules="review")
    await asyncio.wait_for(silent.asked.wait(), 20)
    await handle.signal(names.SIGNAL_SUPERSEDE, {"by": revision("b")})
    result = await asyncio.wait_for(handle.result(), 5)
    assert (result.outcome, result.verdict) == ("superseded", "review")
    await asyncio.wait_for(silent.hung_up.wait(), 15)


async def test_the_state_says_what_was_used_so_far(client: Client, workers: World) -> None:
    silent = Silent()
    voices = workers.voices
    voices.offer("k8s", "look")

    class Then:
        async def complete(self, prompt: Prompt) -> Reply:
            return await (silent if prompt.conversation.turns else first).complete(prompt)

    voices.say(MODEL, calling("k8s__look"))
    first = voices.models[MODEL]
    voices.models[MODEL] = Then()
    handle = await begin(client, workers, spec=spec(mcp_tools=("look",)))
    await asyncio.wait_for(silent.asked.wait(), 20)

    async def looked() -> bool:
        state = await handle.query(names.QUERY_STATE, result_type=AgentResult)
        return bool(state.turns == 1 and state.tools == {"k8s__look": 1})

    await until(looked)
    described = await handle.describe()
    assert described.id.endswith("/adviser")
    await handle.cancel()


async def test_a_history_holds_digests_and_no_texts(client: Client, workers: World) -> None:
    voices = workers.voices
    voices.offer("k8s", "look")
    voices.answers["look"] = "canary-of-a-tool"
    voices.say(
        MODEL, calling("k8s__look", text="canary-of-an-argument"), answer(summary="said aloud")
    )
    handle = await begin(
        client, workers, material(voices, "canary-of-a-log"), spec=spec(mcp_tools=("look",))
    )
    result = await handle.result()
    history = (await handle.fetch_history()).to_json()
    texts = b"".join(b64decode(data) for data in re.findall(r'"data": "([^"]+)"', history))
    assert b"said aloud" in texts
    assert b"canary" not in texts
    kept = voices.store.get(result.transcript).decode()
    assert Conversation.model_validate_json(kept).turns == 2
    assert "canary-of-a-tool" in kept
