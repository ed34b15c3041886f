"""Both SDKs against a server that speaks their APIs, with every fault that we know of."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, DefaultPayloadConverter

from pilothouse.clients.logging import configure_logging
from pilothouse.clients.models import Prompt, Provider, Providers, Reply, result_tool
from pilothouse.clients.settings import ModelEndpoint, Settings
from pilothouse.models.conversations import (
    RESULT_TOOL,
    Conversation,
    Message,
    OpaqueBlock,
    TextBlock,
    ToolCallBlock,
    ToolDefinition,
    ToolResultBlock,
)
from pilothouse.models.errors import PermanentError, TemporaryError
from tests.providers.dialects import PROMPT_CANARY, SECRET, Anthropic, Call, Dialect, OpenAI
from tests.providers.faults import ELSEWHERE, FAULTS, LONG, Fault, described
from tests.providers.server import Answer, ProviderServer

DIALECTS: tuple[Dialect, ...] = (Anthropic(), OpenAI())
DOCS = Path(__file__).parents[2] / "docs" / "reference" / "models.md"
GET = ToolDefinition(
    name="kube__get",
    description="Read an object",
    input_schema={"type": "object", "properties": {"name": {"type": "string"}}},
)
ANSWER = {"decision": "pass", "summary": "fine"}


@pytest.fixture
async def server() -> AsyncIterator[ProviderServer]:
    async with ProviderServer() as running:
        yield running


@pytest.fixture(params=DIALECTS, ids=lambda dialect: dialect.name)
def api(request: pytest.FixtureRequest) -> Dialect:
    dialect: Dialect = request.param
    return dialect


@pytest.fixture
async def provider(api: Dialect, server: ProviderServer) -> AsyncIterator[Provider]:
    settings = Settings.model_validate({
        "anthropic_api_key": SECRET,
        "anthropic_base_url": server.url,
        "openai_api_key": SECRET,
        "openai_base_url": f"{server.url}/v1",
    })
    async with Providers(settings) as providers:
        yield providers.provider_for(f"{api.name}:some-model")


def prompt(*messages: Message, **changes: Any) -> Prompt:
    said = messages or (Message(role="user", blocks=(TextBlock(text=PROMPT_CANARY),)),)
    given: dict[str, Any] = {
        "conversation": Conversation(system="You are careful.", messages=said),
        "tools": (GET,),
        "result": result_tool(),
        "max_output_tokens": 500,
        "timeout": 5.0,
    }
    return Prompt(**(given | changes))


async def ask(provider: Provider, question: Prompt) -> Reply | PermanentError | TemporaryError:
    try:
        return await provider.complete(question)
    except (PermanentError, TemporaryError) as error:
        return error


def in_history(error: BaseException) -> str:
    """Everything of an error that Temporal would write down."""
    failure = Failure()
    DefaultFailureConverter().to_failure(error, DefaultPayloadConverter(), failure)
    return str(failure)


# -- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_fault_has_the_outcome_that_the_table_says(
    fault: Fault,
    api: Dialect,
    provider: Provider,
    server: ProviderServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    server.say(fault.answer(api))
    slow = fault.name in {"no answer in time", "a byte now and then"}
    question = prompt(timeout=0.5 if slow else 20.0)
    began = asyncio.get_running_loop().time()
    outcome = await ask(provider, question)
    assert described(outcome) == fault.outcome
    if slow:
        assert asyncio.get_running_loop().time() - began < 5
    assert len(server.received) == 1, "nothing is retried, nothing is followed"
    shown = caplog.text
    if isinstance(outcome, PermanentError | TemporaryError):
        shown += in_history(outcome)
        assert api.name in str(outcome)
    for canary in (SECRET, PROMPT_CANARY, ELSEWHERE):
        assert canary not in shown


async def test_not_even_at_debug_is_a_prompt_or_a_key_logged(
    api: Dialect, provider: Provider, server: ProviderServer
) -> None:
    server.say(api.error(500), api.message(PROMPT_CANARY))
    root, stream = logging.getLogger(), StringIO()
    before = (root.handlers, root.level)
    try:
        configure_logging("debug", stream=stream)
        await ask(provider, prompt())
        await ask(provider, prompt())
    finally:
        root.handlers, level = before
        root.setLevel(level)
    assert server.url in stream.getvalue(), "the request itself is logged"
    assert SECRET not in stream.getvalue()
    assert PROMPT_CANARY not in stream.getvalue()


def test_the_documentation_prints_the_table_of_faults() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for fault in FAULTS:
        assert f"| {fault.name} | {fault.outcome} |" in text


async def test_a_retry_date_is_understood(
    api: Dialect, provider: Provider, server: ProviderServer
) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    server.say(api.error(503, {"retry-after": when}))
    with pytest.raises(TemporaryError) as raised:
        await provider.complete(prompt())
    assert raised.value.delay is not None
    assert 20 < raised.value.delay.total_seconds() <= 40


async def test_a_refused_key_names_its_variable_and_the_request(
    api: Dialect, provider: Provider, server: ProviderServer
) -> None:
    server.say(api.error(401))
    with pytest.raises(PermanentError) as raised:
        await provider.complete(prompt())
    assert f"PILOTHOUSE_{api.name.upper()}_API_KEY" in str(raised.value)
    assert "req_1" in str(raised.value)


async def test_no_server_at_all_is_a_temporary_fault(
    api: Dialect, provider: Provider, server: ProviderServer
) -> None:
    await server.__aexit__(None, None, None)
    with pytest.raises(TemporaryError, match="connection"):
        await provider.complete(prompt())


async def test_a_cancelled_call_hangs_up_at_once(
    provider: Provider, server: ProviderServer
) -> None:
    server.say(Answer(hang=True))
    call = asyncio.create_task(provider.complete(prompt(timeout=60)))
    await asyncio.wait_for(server.asked.wait(), 10)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(server.idle.wait(), 2)


async def test_a_gateway_that_hides_the_status_in_the_body_is_understood(
    server: ProviderServer,
) -> None:
    body = json.dumps({"error": {"code": 429, "message": PROMPT_CANARY}}).encode()
    server.say(Answer(body=body, headers={"retry-after": "3"}))
    async with Providers(local(server)) as providers:
        outcome = await ask(providers.provider_for("local:m"), prompt())
    assert described(outcome) == "retried after 3 s, `ModelUnavailable`"


@pytest.mark.parametrize("code", ["insufficient_quota", "context_length_exceeded"])
async def test_what_waiting_does_not_mend_is_final(code: str, server: ProviderServer) -> None:
    server.say(Answer(status=429, body=json.dumps({"error": {"code": code}}).encode()))
    async with Providers(local(server)) as providers:
        outcome = await ask(providers.provider_for("local:m"), prompt())
    assert described(outcome) == "final, `ModelRefused`"


def local(server: ProviderServer) -> Settings:
    return Settings(model_endpoints={"local": ModelEndpoint(base_url=f"{server.url}/v1")})


# -- what is understood ---------------------------------------------------------------------------


async def test_text_usage_model_and_request_are_read(
    api: Dialect, provider: Provider, server: ProviderServer
) -> None:
    server.say(api.message("hello"))
    reply = await provider.complete(prompt())
    assert reply.message == Message(role="assistant", blocks=(TextBlock(text="hello"),))
    assert (reply.stop, reply.problem, reply.request_id) == ("end_turn", "", "req_1")
    assert reply.model in {"claude-test-1", "gpt-test-1"}
    usage = reply.usage
    assert (usage.calls, usage.input_tokens, usage.output_tokens) == (1, 137, 20)
    assert (usage.cached_tokens, usage.estimated) == (30, False)
    assert usage.cache_write_tokens == (7 if api.name == "anthropic" else 0)


async def test_tool_calls_are_read_and_get_ids_that_can_be_sent_back(
    api: Dialect, provider: Provider, server: ProviderServer
) -> None:
    calls = [
        Call("kube__get", {"name": "a"}, "one"),
        Call("kube__get", {"name": "b"}, "one"),
        Call("kube get!", {}, ""),
    ]
    server.say(api.message(None, calls))
    reply = await provider.complete(prompt())
    assert reply.stop == "tool_use"
    assert [call.arguments for call in reply.message.calls] == [{"name": "a"}, {"name": "b"}, {}]
    assert [call.name for call in reply.message.calls] == ["kube__get", "kube__get", "kube_get_"]
    assert [call.id for call in reply.message.calls] == ["one", "call_0_1", "call_0_2"]


async def test_a_result_wins_over_the_calls_beside_it(
    api: Dialect, provider: Provider, server: ProviderServer
) -> None:
    server.say(api.message("so", [Call("kube__get", {}, "a"), Call(RESULT_TOOL, ANSWER, "b")]))
    reply = await provider.complete(prompt())
    assert reply.stop == "result"
    assert [call.arguments for call in reply.message.calls] == [ANSWER]


async def test_calls_of_a_reply_that_was_cut_off_are_not_made(
    api: Dialect, provider: Provider, server: ProviderServer
) -> None:
    stop = "max_tokens" if api.name == "anthropic" else "length"
    server.say(api.message("so", [Call("kube__get", {"name": "a"})], stop=stop))
    reply = await provider.complete(prompt())
    assert (reply.stop, reply.message.calls) == ("max_tokens", ())


async def test_a_server_that_reports_no_usage_is_charged_a_cautious_guess(
    api: Dialect, provider: Provider, server: ProviderServer
) -> None:
    server.say(api.message(LONG, usage=None))
    usage = (await provider.complete(prompt())).usage
    assert usage.estimated
    assert usage.output_tokens > len(LONG) // 4


async def test_a_megabyte_of_text_is_kept_in_part(
    api: Dialect, provider: Provider, server: ProviderServer
) -> None:
    server.say(api.message(LONG))
    (block,) = (await provider.complete(prompt())).message.blocks
    assert isinstance(block, TextBlock)
    assert len(block.text) < 70_000
    assert block.text.endswith("[cut off]")


async def test_text_that_utf8_cannot_hold_is_mended(
    api: Dialect, provider: Provider, server: ProviderServer
) -> None:
    server.say(api.message("a\ud800b"))
    reply = await provider.complete(prompt(user("c\udfffd")))
    assert reply.message.blocks == (TextBlock(text="a?b"),)
    assert Reply.model_validate_json(reply.model_dump_json()) == reply


# -- what is sent ---------------------------------------------------------------------------------


def user(text: str) -> Message:
    return Message(role="user", blocks=(TextBlock(text=text),))


def called(*identities: str, problem: str = "") -> Message:
    calls = (ToolCallBlock(id=each, name="kube__get", problem=problem) for each in identities)
    return Message(role="assistant", blocks=tuple(calls))


def result(*identities: str) -> Message:
    blocks = (ToolResultBlock(id=each, text=f"result of {each}") for each in identities)
    return Message(role="user", blocks=tuple(blocks))


@pytest.mark.parametrize(
    "messages",
    [
        (user("a"),),
        (user("a"), called("x"), result("x")),
        (user("a"), called("x", "y"), result("y", "x")),
        (user("a"), called("x", "y"), result("y")),
        (user("a"), called("x"), user("your answer was malformed")),
        (user("a"), called("x", problem="no JSON"), user("b")),
        (user("a"), called("x")),
        (user("a"), called("x"), result("x"), user("last call: answer now")),
        (user("a"), Message(role="assistant"), user("say something")),
        (user("a"), result("never-called"), user("b")),
    ],
)
async def test_whatever_the_conversation_the_server_accepts_it(
    messages: tuple[Message, ...], api: Dialect, provider: Provider, server: ProviderServer
) -> None:
    server.say(api.message())
    await provider.complete(prompt(*messages))
    assert api.objection(server.received[0]) == ""


async def test_anthropic_is_asked_with_caching_and_a_strict_forced_result(
    server: ProviderServer,
) -> None:
    api = Anthropic()
    server.say(api.message(None, [Call(RESULT_TOOL, ANSWER)]))
    settings = Settings.model_validate({
        "anthropic_api_key": SECRET,
        "anthropic_base_url": server.url,
    })
    async with Providers(settings) as providers:
        reply = await providers.provider_for("anthropic:m").complete(prompt(force_result=True))
    sent = server.received[0].body
    assert reply.stop == "result"
    assert sent["tool_choice"]["name"] == RESULT_TOOL
    assert [(tool["name"], tool.get("strict")) for tool in sent["tools"]] == [
        ("kube__get", None),
        (RESULT_TOOL, True),
    ]
    assert sent["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert (sent["model"], sent["max_tokens"]) == ("m", 500)


async def test_openai_is_asked_for_a_strict_schema_when_the_result_is_forced(
    server: ProviderServer,
) -> None:
    server.say(OpenAI().message(json.dumps(ANSWER)))
    async with Providers(local(server)) as providers:
        reply = await providers.provider_for("local:m").complete(prompt(force_result=True))
    sent = server.received[0].body
    assert (reply.stop, reply.message.calls[0].arguments) == ("result", ANSWER)
    assert sent["response_format"]["json_schema"]["strict"] is True
    assert "tools" not in sent
    assert (sent["model"], sent["max_tokens"]) == ("m", 500)


async def test_a_forced_result_that_is_no_json_is_a_result_with_a_problem(
    server: ProviderServer,
) -> None:
    server.say(OpenAI().message("I would rather say: pass"))
    async with Providers(local(server)) as providers:
        reply = await providers.provider_for("local:m").complete(prompt(force_result=True))
    assert reply.stop == "result"
    assert "not JSON" in reply.problem
    assert reply.message.calls[0].raw == "I would rather say: pass"


async def test_signed_reasoning_goes_back_to_anthropic_as_it_came(server: ProviderServer) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    call = {"type": "tool_use", "id": "t1", "name": "kube__get", "input": {}}
    api = Anthropic()
    server.say(api.message(content=[thought, call], stop="tool_use"), api.message())
    settings = Settings.model_validate({
        "anthropic_api_key": SECRET,
        "anthropic_base_url": server.url,
    })
    async with Providers(settings) as providers:
        provider = providers.provider_for("anthropic:m")
        reply = await provider.complete(prompt(user("a")))
        assert isinstance(reply.message.blocks[0], OpaqueBlock)
        await provider.complete(prompt(user("a"), reply.message, result("t1")))
    assert server.received[1].body["messages"][1]["content"][0] == thought


async def test_what_gemini_hangs_on_a_call_goes_back_with_it(server: ProviderServer) -> None:
    extra = {"google": {"thought_signature": "c2ln"}}
    call = {
        "id": "t1",
        "type": "function",
        "function": {"name": "kube__get", "arguments": "{}"},
        "extra_content": extra,
    }
    api = OpenAI()
    choice = {"message": {"role": "assistant", "tool_calls": [call]}, "finish_reason": "tool_calls"}
    server.say(api.message(choices=[choice]), api.message())
    async with Providers(local(server)) as providers:
        provider = providers.provider_for("local:m")
        reply = await provider.complete(prompt(user("a")))
        await provider.complete(prompt(user("a"), reply.message, result("t1")))
    assert server.received[1].body["messages"][2]["tool_calls"][0]["extra_content"] == extra


async def test_an_endpoint_may_bound_its_replies_further(server: ProviderServer) -> None:
    endpoint = ModelEndpoint(base_url=f"{server.url}/v1", max_output_tokens=100)
    server.say(OpenAI().message("short"), OpenAI().message("shorter"))
    async with Providers(Settings(model_endpoints={"small": endpoint})) as providers:
        provider = providers.provider_for("small:m")
        await provider.complete(prompt(max_output_tokens=500))
        await provider.complete(prompt(max_output_tokens=50))
    assert [each.body["max_tokens"] for each in server.received] == [100, 50]
