"""Whatever a server says, it becomes a reply that can be acted on, or one of our two errors."""

import json
import re
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.clients.models import Prompt, Reply, anthropic_api, openai_api, result_tool
from pilothouse.clients.models.assembly import MAX_CALLS, MAX_TEXT, assemble, call_block
from pilothouse.clients.models.faults import Server
from pilothouse.clients.models.result_tool import closed_schema, spoken_limits
from pilothouse.clients.models.strict_json import MAX_DEPTH, MalformedError, parse_json
from pilothouse.models.agents import AgentAnswer
from pilothouse.models.conversations import (
    RESULT_TOOL,
    Block,
    Conversation,
    Message,
    TextBlock,
    ToolCallBlock,
    ToolResultBlock,
)
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.model_calls import Usage
from tests.providers.dialects import Anthropic, Call, Dialect, OpenAI

SERVER = Server(name="x", key_variable="K", url_variable="U")


def prompt(**changes: Any) -> Prompt:
    given: dict[str, Any] = {
        "conversation": Conversation(),
        "result": result_tool(),
        "max_output_tokens": 10,
        "timeout": 1.0,
    }
    return Prompt(**(given | changes))


def read(api: Dialect, body: bytes, **changes: Any) -> Reply:
    response = httpx2.Response(200, content=body)
    if api.name == "anthropic":
        return anthropic_api._reply(prompt(**changes), response)
    return openai_api._reply(prompt(**changes), SERVER, response)


# -- any bytes ------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
APIS: list[Dialect] = [Anthropic(), OpenAI()]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    if not isinstance(value, dict | list):
        return [path]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [path] + [place for key, item in items for place in places(item, (*path, key))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
@settings(max_examples=400)
@given(data=st.data())
def test_any_change_of_a_reply_gives_a_reply_or_a_known_error(
    api: Dialect, data: st.DataObject
) -> None:
    calls = [Call("a__b", {"x": [1]}), Call(RESULT_TOOL, {"decision": "pass"}, "c2")]
    whole = json.loads(api.message("so", calls[: data.draw(st.integers(0, 2))]).body)
    path = data.draw(st.sampled_from(places(whole)))
    body = json.dumps(replaced(whole, path, data.draw(ANYTHING))).encode()
    force = data.draw(st.booleans())
    try:
        reply = read(api, body, force_result=force)
    except (MalformedError, PermanentError, TemporaryError):
        return
    assert Reply.model_validate_json(reply.model_dump_json()) == reply
    names = [call.name for call in reply.message.calls]
    match reply.stop:
        case "result":
            assert names == [RESULT_TOOL]
        case "tool_use":
            assert names
            assert not force
        case _:
            assert not names
    assert min(reply.usage.input_tokens, reply.usage.output_tokens) >= 0


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
@given(body=st.binary(max_size=40))
def test_any_bytes_are_malformed_and_nothing_worse(api: Dialect, body: bytes) -> None:
    with pytest.raises(MalformedError):
        read(api, body)


# -- JSON -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["", "{", "nan", "NaN", "[1] 2", "1" * 5000, "[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2)],
)
def test_what_is_not_bounded_json_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_json(text)


def test_a_repeated_key_is_noticed_however_deep() -> None:
    assert parse_json('{"a": [{"b": 1, "b": 2}]}') == ({"a": [{"b": 2}]}, True)
    assert not parse_json('{"a": {"a": 1}}').repeated_keys


# -- assembling -----------------------------------------------------------------------------------


def assembled(*blocks: Block, **changes: Any) -> Reply:
    return assemble(prompt(**changes), blocks, "whole", Usage(), model="m", request_id="r")


def test_more_calls_than_allowed_are_none() -> None:
    calls = [ToolCallBlock(id=f"c{n}", name="a") for n in range(MAX_CALLS + 1)]
    assert len(assembled(*calls[:-1]).message.calls) == MAX_CALLS
    reply = assembled(TextBlock(text="so"), *calls)
    assert (reply.stop, reply.message.blocks) == ("end_turn", (TextBlock(text="so"),))
    assert str(MAX_CALLS) in reply.problem


def test_a_forced_answer_that_is_another_call_is_no_call() -> None:
    reply = assembled(ToolCallBlock(id="c", name="a"), force_result=True)
    assert (reply.stop, reply.message.blocks) == ("end_turn", ())
    assert RESULT_TOOL in reply.problem


def test_all_text_together_is_bounded() -> None:
    reply = assembled(*(TextBlock(text="x" * (MAX_TEXT // 2 + 1)) for _ in range(3)))
    texts = [block.text for block in reply.message.blocks if isinstance(block, TextBlock)]
    assert len("".join(texts)) == MAX_TEXT + len(" [cut off]")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ('{"a": 1}', ""),
        ("", ""),
        ("[1]", "not a JSON object"),
        ("{", "not JSON"),
        ('{"a": 1, "a": 2}', "twice"),
        ('{"a": "' + "x" * 70_000 + '"}', "longer"),
    ],
)
def test_arguments_that_cannot_be_used_say_why_and_are_empty(arguments: str, problem: str) -> None:
    block = call_block("i", "n", arguments)
    assert problem in block.problem
    assert bool(block.problem) == bool(problem)
    assert not (block.problem and block.arguments)
    assert bool(block.raw) == bool(problem)


# -- the result tool ------------------------------------------------------------------------------


def objects(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [found for item in schema for found in objects(item)]
    if not isinstance(schema, dict):
        return []
    below = [found for item in schema.values() for found in objects(item)]
    return ([schema] if "properties" in schema else []) + below


def keywords(schema: Any) -> set[str]:
    return set(re.findall(r'"(\w+)":', json.dumps(schema)))


def test_the_result_schema_is_closed_and_asks_for_every_field() -> None:
    found = objects(result_tool().input_schema)
    assert len(found) == 3
    for each in found:
        assert each["additionalProperties"] is False
        assert each["required"] == list(each["properties"])
    assert not {"default", "title"} & keywords(result_tool().input_schema)


def test_limits_are_keywords_or_words() -> None:
    schema = result_tool().input_schema
    limits = {"maxLength", "maxItems", "pattern"}
    assert limits <= keywords(schema)
    assert not limits & keywords(spoken_limits(schema))
    assert "at most 2000 characters" in json.dumps(spoken_limits(schema))
    assert [set(each["properties"]) for each in objects(spoken_limits(schema))] == [
        set(each["properties"]) for each in objects(schema)
    ]


def test_an_answer_in_the_form_of_the_schema_is_an_answer() -> None:
    fields = result_tool().input_schema["properties"]
    assert isinstance(fields, dict)
    assert set(fields) == set(AgentAnswer.model_fields)


def test_a_property_may_be_called_like_a_keyword() -> None:
    schema = closed_schema({"properties": {"title": {"type": "string", "title": "T"}}})
    assert schema["properties"] == {"title": {"type": "string"}}


# -- conversations --------------------------------------------------------------------------------


def test_settling_is_idempotent_and_answers_every_call_in_order() -> None:
    conversation = Conversation(
        messages=(
            Message(role="user", blocks=(TextBlock(text="a"),)),
            Message(
                role="assistant",
                blocks=(
                    ToolCallBlock(id="1", name="x"),
                    ToolCallBlock(id="2", name="x", problem="no JSON"),
                ),
            ),
            Message(role="user", blocks=(TextBlock(text="b"),)),
            Message(role="user", blocks=(ToolResultBlock(id="1", text="r"),)),
        )
    )
    settled = conversation.settled()
    assert settled.settled() == settled
    assert settled.messages[2].blocks == (
        ToolResultBlock(id="1", text="r"),
        ToolResultBlock(id="2", text="no JSON", is_error=True),
        TextBlock(text="b"),
    )
