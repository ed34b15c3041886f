"""What a model says is cleaned before it is kept, said again, or sent to a server of tools."""

import pytest

from pilothouse.gitops.agents.utterances import HOLDS_CREDENTIAL, UNKNOWN_TOOL, clean_message
from pilothouse.gitops.redaction import Redactor
from pilothouse.models.conversations import (
    RESULT_TOOL,
    Message,
    OpaqueBlock,
    TextBlock,
    ToolCallBlock,
)

KNOWN = "value-of-the-worker"
OFFERED = {"k8s__look", RESULT_TOOL}


def cleaned(*blocks: TextBlock | ToolCallBlock | OpaqueBlock) -> Message:
    return clean_message(Message(role="assistant", blocks=blocks), Redactor((KNOWN,)), OFFERED)


def call(name: str = "k8s__look", **fields: object) -> ToolCallBlock:
    return ToolCallBlock.model_validate({"id": "a", "name": name, **fields})


def test_words_lose_credentials_and_control_characters() -> None:
    (text,) = cleaned(TextBlock(text=f"it is {KNOWN[:5]}\u200b{KNOWN[5:]}\x1b[2J")).blocks
    assert isinstance(text, TextBlock)
    assert text.text.startswith("it is <REDACTED:known:")
    assert "\x1b" not in text.text


@pytest.mark.parametrize(
    "arguments",
    [
        {"text": KNOWN},
        {"deep": [{"er": f"a {KNOWN}"}]},
        {KNOWN: 1},
        {"password": "hunter2-canary"},
        {"env": "a:\n- name: DB_PASSWORD\n  value: hunter2-canary"},
    ],
    ids=str,
)
def test_a_call_with_a_credential_is_not_made(arguments: dict[str, object]) -> None:
    (kept,) = cleaned(call(arguments=arguments)).calls
    assert (kept.arguments, kept.problem) == ({}, HOLDS_CREDENTIAL)


def test_a_call_without_one_is_made_as_it_is() -> None:
    odd = {"text": "a\u200bb", "number": 1.5, "list": [None, True]}
    (kept,) = cleaned(call(arguments=odd)).calls
    assert (kept.arguments, kept.problem) == (odd, "")


def test_an_answer_loses_the_credential_and_stays_an_answer() -> None:
    (kept,) = cleaned(call(RESULT_TOOL, arguments={"summary": f"it is {KNOWN}"})).calls
    assert kept.problem == ""
    assert str(kept.arguments["summary"]).startswith("it is <REDACTED:known:")


def test_a_name_that_nobody_offered_is_not_kept() -> None:
    (kept,) = cleaned(call(KNOWN)).calls
    assert kept.name == UNKNOWN_TOOL


def test_arguments_that_cannot_be_used_are_kept_in_part_only() -> None:
    half = "x" * 65_520 + "token=hunter2-can"
    (kept,) = cleaned(call(problem="too long", raw=half)).calls
    assert len(kept.raw) == 2_000
    assert kept.problem == "too long"


def test_what_only_its_provider_understands_stays() -> None:
    block = OpaqueBlock(provider="p", data={"signature": KNOWN})
    assert cleaned(block).blocks == (block,)


def test_cleaning_is_idempotent() -> None:
    once = cleaned(TextBlock(text=KNOWN), call("other", arguments={"password": "hunter2-canary"}))
    again = clean_message(once, Redactor((KNOWN,)), OFFERED | {UNKNOWN_TOOL})
    assert again == once
