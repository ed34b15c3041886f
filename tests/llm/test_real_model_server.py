"""The OpenAI path against a real llama-server with a real, tiny model; needs the group `llm`.

What the model says means nothing; that real HTTP, real tokens and a real grammar go through is
what is tested.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from pilothouse.clients.models import Prompt, Provider, Providers, result_tool
from pilothouse.clients.settings import ModelEndpoint, Settings
from pilothouse.local.model_server import ModelServer, find_local_model
from pilothouse.models.agents import AgentAnswer
from pilothouse.models.conversations import (
    Conversation,
    Message,
    TextBlock,
    ToolCallBlock,
    ToolDefinition,
    ToolResultBlock,
)
from pilothouse.models.errors import PermanentError, TemporaryError


def installed() -> bool:
    try:
        find_local_model()
    except PermanentError:
        return False
    return True


pytestmark = pytest.mark.skipif(
    not installed(), reason="the dependency group `llm` is not installed"
)


@pytest.fixture(scope="session")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    server = ModelServer(tmp_path_factory.mktemp("llama"))
    await server.start()
    try:
        yield server.base_url
    finally:
        await server.stop()


@pytest.fixture
async def provider(url: str) -> AsyncIterator[Provider]:
    settings = Settings(model_endpoints={"local": ModelEndpoint(base_url=url)})
    async with Providers(settings) as providers:
        yield providers.provider_for("local:smollm2")


def user(text: str) -> Message:
    return Message(role="user", blocks=(TextBlock(text=text),))


def prompt(*messages: Message, **changes: Any) -> Prompt:
    given: dict[str, Any] = {
        "conversation": Conversation(system="You review deployments.", messages=messages),
        "result": result_tool(),
        "max_output_tokens": 400,
        "timeout": 120.0,
    }
    return Prompt(**(given | changes))


async def test_a_forced_result_has_the_form_that_was_asked_for(provider: Provider) -> None:
    verdict = ToolDefinition(
        name="verdict",
        input_schema={
            "type": "object",
            "properties": {
                "decision": {"enum": ["pass", "review", "block"]},
                "summary": {"type": "string", "maxLength": 100},
            },
            "required": ["decision", "summary"],
            "additionalProperties": False,
        },
    )
    question = user("Is raising replicas from 2 to 3 safe?")
    for _ in range(5):
        reply = await provider.complete(prompt(question, result=verdict, force_result=True))
        assert (reply.stop, reply.problem) == ("result", "")
        arguments = reply.message.calls[0].arguments
        assert set(arguments) == {"decision", "summary"}
        assert arguments["decision"] in {"pass", "review", "block"}


async def test_a_whole_answer_is_formed_or_cut_off_and_never_half(provider: Provider) -> None:
    question = prompt(user("Is raising replicas from 2 to 3 safe? Be brief."), force_result=True)
    reply = await provider.complete(question)
    # A model of this size may also talk until it is cut off; then nothing may be believed.
    # A model of this size likes to fill every list: often it is still talking at the limit.
    assert reply.stop in {"result", "max_tokens"}
    if reply.stop == "result":
        assert set(reply.message.calls[0].arguments) == set(AgentAnswer.model_fields)
    assert reply.usage.input_tokens > 20
    assert 0 < reply.usage.output_tokens <= 400
    assert not reply.usage.estimated


async def test_a_conversation_with_tools_and_their_results_is_accepted(provider: Provider) -> None:
    tool = ToolDefinition(
        name="kube__get",
        description="Read an object",
        input_schema={"type": "object", "properties": {"name": {"type": "string"}}},
    )
    call = ToolCallBlock(id="call_0_0", name=tool.name, arguments={"name": "web"})
    messages = (
        user("What does web run?"),
        Message(role="assistant", blocks=(call,)),
        Message(role="user", blocks=(ToolResultBlock(id=call.id, text="nginx:1.29"),)),
    )
    reply = await provider.complete(prompt(*messages, tools=(tool,), max_output_tokens=60))
    assert reply.stop in {"end_turn", "tool_use", "result", "max_tokens"}
    forced = await provider.complete(prompt(*messages, tools=(tool,), force_result=True))
    assert forced.stop in {"result", "max_tokens"}


async def test_a_reply_ends_at_its_limit(provider: Provider) -> None:
    reply = await provider.complete(prompt(user("Write a long story."), max_output_tokens=8))
    assert (reply.stop, reply.usage.output_tokens) == ("max_tokens", 8)


async def test_a_slow_reply_ends_at_its_time(provider: Provider) -> None:
    with pytest.raises(TemporaryError, match=r"within 0\.5 s"):
        await provider.complete(prompt(user("Write a long story."), timeout=0.5))


async def test_a_conversation_too_long_for_the_model_is_refused_for_good(
    provider: Provider,
) -> None:
    with pytest.raises(PermanentError, match="longer than the model's context"):
        await provider.complete(prompt(user("word " * 20_000)))
