"""A worker that is killed right after a reply was paid: the next one asks nothing again."""

import asyncio
import signal
import sys
from pathlib import Path

from temporalio.testing import ActivityEnvironment

from activities.models import ModelActivities
from pilothouse.clients.models import PriceTable, Providers, ReplyJournal
from pilothouse.clients.settings import ModelEndpoint, Settings, inherited_environment
from pilothouse.clients.store import ContentStore
from pilothouse.models.conversations import TOOL_LIST, Conversation, Message, TextBlock
from pilothouse.models.model_calls import ModelCallRequest, ModelCallResult
from tests.providers.dialects import OpenAI
from tests.providers.server import ProviderServer

ROOT = Path(__file__).parents[2]
CHILD = """
import asyncio, os, signal, sys
from pathlib import Path
from pilothouse.clients.models import ReplyJournal
from tests.integration.test_paid_once import call

class Killed(ReplyJournal):
    def record(self, key, question, reply):
        if sys.argv[3] == "after":
            super().record(key, question, reply)
        os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
asyncio.run(call(folder, sys.argv[2], Killed(folder / "replies")))
"""


async def call(folder: Path, url: str, journal: ReplyJournal) -> ModelCallResult:
    store = ContentStore(folder / "store")
    message = Message(role="user", blocks=(TextBlock(text="well?"),))
    request = ModelCallRequest(
        model="local:m",
        conversation=store.put(Conversation(messages=(message,)).model_dump_json().encode()),
        tools=store.put(TOOL_LIST.dump_json(())),
        key="agent/run/1",
    )
    settings = Settings(model_endpoints={"local": ModelEndpoint(base_url=url)})
    async with Providers(settings) as providers:
        activities = ModelActivities(
            provider_for=providers.provider_for,
            store=store,
            journal=journal,
            prices=PriceTable.read(),
        )
        return await ActivityEnvironment().run(activities.call_model, request)


async def killed(folder: Path, url: str, when: str) -> None:
    """Run the call in a process of its own that dies before or after it wrote the reply down."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", CHILD, str(folder), url, when),
        cwd=ROOT,
        env=inherited_environment(PYTHONPATH=str(ROOT)),
    )
    assert await child.wait() == -signal.SIGKILL


async def test_a_reply_that_was_written_down_is_paid_once(tmp_path: Path) -> None:
    async with ProviderServer() as server:
        server.say(OpenAI().message("hello"))
        await killed(tmp_path, f"{server.url}/v1", "after")
        result = await call(tmp_path, f"{server.url}/v1", ReplyJournal(tmp_path / "replies"))
    assert (result.stop, len(server.received)) == ("end_turn", 1)


async def test_a_reply_that_nobody_wrote_down_is_asked_for_again(tmp_path: Path) -> None:
    """The window that stays, held here so that nobody promises more."""
    async with ProviderServer() as server:
        server.say(OpenAI().message("hello"))
        await killed(tmp_path, f"{server.url}/v1", "before")
        result = await call(tmp_path, f"{server.url}/v1", ReplyJournal(tmp_path / "replies"))
    assert (result.stop, len(server.received)) == ("end_turn", 2)
