"""The model activity: one question is paid once, and what comes back can be acted on."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.models import ModelActivities
from pilothouse.clients.models import Price, PriceTable, Prompt, Reply, ReplyJournal
from pilothouse.clients.store import ContentStore
from pilothouse.models.conversations import (
    RESULT_TOOL,
    TOOL_LIST,
    Block,
    Conversation,
    Message,
    TextBlock,
    ToolCallBlock,
    ToolDefinition,
)
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.model_calls import ModelCallRequest, ModelCallResult, StopReason, Usage
from pilothouse.models.objects import canonical_json

KEY = "agent/run-1/1"
ASKED = Conversation(
    system="be careful", messages=(Message(role="user", blocks=(TextBlock(text="well?"),)),)
)
TOOL = ToolDefinition(name="kube__get", description="d", input_schema={"type": "object"})


def reply(*blocks: Block, stop: StopReason = "end_turn", problem: str = "") -> Reply:
    return Reply(
        message=Message(role="assistant", blocks=blocks),
        stop=stop,
        problem=problem,
        usage=Usage(calls=1, input_tokens=1000, output_tokens=100),
        model="m-1",
        request_id="r",
    )


@dataclass
class Recorder:
    """A provider that says one thing and keeps what it was asked."""

    says: Reply | Exception | None = None
    """None: it never answers."""
    asked: list[Prompt] = field(default_factory=list)
    cancelled: bool = False

    async def complete(self, prompt: Prompt) -> Reply:
        self.asked.append(prompt)
        if isinstance(self.says, Exception):
            raise self.says
        if self.says is None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise
        assert self.says
        return self.says


@dataclass
class World:
    folder: Path
    provider: Recorder

    def __post_init__(self) -> None:
        self.store = ContentStore(self.folder / "store")

    def activities(self, provider: Recorder | None = None) -> ModelActivities:
        """As a worker makes them at its start."""
        answering = provider or self.provider
        return ModelActivities(
            provider_for=lambda model: answering,
            store=self.store,
            journal=ReplyJournal(self.folder / "replies"),
            prices=PriceTable(price=(Price(model="known:*", input=2, output=10),)),
        )

    def request(self, **changes: Any) -> ModelCallRequest:
        given: dict[str, Any] = {
            "model": "known:m",
            "conversation": self.store.put(ASKED.model_dump_json().encode()),
            "tools": self.store.put(TOOL_LIST.dump_json((TOOL,))),
            "timeout_seconds": 7,
            "key": KEY,
        }
        return ModelCallRequest(**(given | changes))

    async def call(self, provider: Recorder | None = None, **changes: Any) -> ModelCallResult:
        activity = self.activities(provider).call_model
        return await ActivityEnvironment().run(activity, self.request(**changes))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, Recorder(reply(TextBlock(text="hello"))))


async def test_the_model_is_asked_what_stands_in_the_store(world: World) -> None:
    await world.call(force_result=True, max_output_tokens=99)
    (asked,) = world.provider.asked
    assert (asked.conversation, asked.tools, asked.result.name) == (ASKED, (TOOL,), RESULT_TOOL)
    assert (asked.force_result, asked.max_output_tokens, asked.timeout) == (True, 99, 7.0)


async def test_the_reply_is_appended_and_priced(world: World) -> None:
    result = await world.call()
    stored = Conversation.model_validate_json(world.store.get(result.conversation))
    assert stored == ASKED.add(Message(role="assistant", blocks=(TextBlock(text="hello"),)))
    assert result.usage.cost == pytest.approx((1000 * 2 + 100 * 10) / 1e6)
    assert (result.stop, result.model, result.request_id) == ("end_turn", "m-1", "r")


async def test_an_unknown_price_is_said(world: World) -> None:
    assert (await world.call(model="other:m")).usage.cost is None


async def test_tool_calls_come_with_their_arguments_in_the_store(world: World) -> None:
    world.provider.says = reply(
        ToolCallBlock(id="a", name="kube__get", arguments={"name": "web"}),
        ToolCallBlock(id="b", name="kube__get", problem="not JSON", raw="{"),
        stop="tool_use",
    )
    first, second = (await world.call()).tool_calls
    assert json.loads(world.store.get(first.arguments)) == {"name": "web"}
    assert (first.id, first.name, first.problem) == ("a", "kube__get", "")
    assert (second.problem, world.store.get(second.arguments)) == ("not JSON", b"{}")


async def test_a_result_comes_by_digest_and_one_that_cannot_be_read_does_not(world: World) -> None:
    answer = ToolCallBlock(id="a", name=RESULT_TOOL, arguments={"decision": "pass"})
    world.provider.says = reply(answer, stop="result")
    result = await world.call(key="1")
    assert result.result == world.store.put(canonical_json({"decision": "pass"}))
    assert result.tool_calls == ()
    broken = answer.model_copy(update={"arguments": {}, "problem": "a key twice"})
    world.provider.says = reply(broken, stop="result", problem="a key twice")
    result = await world.call(key="2")
    assert (result.stop, result.result, result.problem) == ("result", None, "a key twice")


# -- paid once ------------------------------------------------------------------------------------


async def test_a_worker_that_takes_over_asks_nothing_that_was_paid(world: World) -> None:
    first = await world.call()
    never = Recorder(RuntimeError("asked again"))
    assert await world.call(never) == first
    assert never.asked == []


async def test_a_paid_reply_is_whole_even_if_the_store_lost_what_came_of_it(world: World) -> None:
    first = await world.call()
    hexadecimal = first.conversation.removeprefix("sha256:")
    (world.folder / "store" / hexadecimal[:2] / hexadecimal[2:]).unlink()
    assert await world.call(Recorder(RuntimeError("asked again"))) == first
    world.store.get(first.conversation)


async def test_another_attempt_may_wait_longer_for_the_same_question(world: World) -> None:
    first = await world.call()
    assert await world.call(Recorder(RuntimeError()), timeout_seconds=60) == first


@pytest.mark.parametrize("changes", [{"model": "known:n"}, {"force_result": True}])
async def test_an_operation_cannot_ask_something_else_later(
    changes: dict[str, Any], world: World
) -> None:
    await world.call()
    with pytest.raises(PermanentError, match="asked something else") as raised:
        await world.call(**changes)
    assert raised.value.type == "InvalidRequest"
    assert len(world.provider.asked) == 1


async def test_a_failed_call_is_not_paid_and_may_be_asked_again(world: World) -> None:
    wait = timedelta(seconds=3)
    with pytest.raises(TemporaryError) as raised:
        await world.call(Recorder(TemporaryError("ModelUnavailable", "busy", delay=wait)))
    assert raised.value.delay == wait
    assert (await world.call()).stop == "end_turn"


def _garbage(path: Path) -> None:
    path.write_bytes(b'{"key": ')


def _nothing(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_garbage, _nothing])
async def test_a_damaged_entry_is_paid_anew(damage: Callable[[Path], None], world: World) -> None:
    first = await world.call()
    (entry,) = (world.folder / "replies").glob("*/*")
    damage(entry)
    assert await world.call() == first
    assert len(world.provider.asked) == 2
    assert await world.call(Recorder(RuntimeError())) == first


async def test_a_reply_that_cannot_be_written_is_final(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(PermanentError, match="No space left") as raised:
        await world.call()
    assert raised.value.type == "ModelRefused"
    assert list((world.folder / "replies").glob("*/*")) == []


async def test_old_entries_go_at_a_workers_start(world: World) -> None:
    await world.call()
    journal = ReplyJournal(world.folder / "replies")
    assert journal.trim() == 0
    assert journal.trim(keep=timedelta(seconds=-60)) == 1
    await world.call()
    assert len(world.provider.asked) == 2


async def test_entries_are_for_their_owner_only(world: World) -> None:
    await world.call()
    (entry,) = (world.folder / "replies").glob("*/*")
    assert entry.stat().st_mode & 0o077 == 0


# -- cancelled ------------------------------------------------------------------------------------


async def test_a_cancelled_activity_hangs_up_on_the_model(world: World) -> None:
    silent = Recorder(None)
    environment = ActivityEnvironment()
    running = asyncio.create_task(
        environment.run(world.activities(silent).call_model, world.request())
    )
    async with asyncio.timeout(10):
        while not silent.asked:
            await asyncio.sleep(0.01)
    environment.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 2)
    assert silent.cancelled


async def test_what_is_not_in_the_store_cannot_be_asked(world: World) -> None:
    with pytest.raises(PermanentError) as raised:
        await world.call(conversation="sha256:" + "0" * 64)
    assert raised.value.type == "StoreMiss"
    assert world.provider.asked == []
