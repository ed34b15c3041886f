"""The parts fit: names are registered, activities are served where they are called."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, SecretStr
from temporalio.client import Client

from activities.serving import activities_of
from pilothouse.clients.settings import AGENT_CREDENTIALS, Settings
from pilothouse.models import names
from pilothouse.models.errors import ErrorType
from tests.wiring import reading
from tests.workflow.world import two_environments
from workflows import WORKFLOWS

REGISTERED = [reading.registered(cls) for cls in WORKFLOWS]
MODELS_AND_TOOLS = {*AGENT_CREDENTIALS, "mcp_commands", "workspace_url"}
CREDENTIALS = {
    "kubeconfig",
    "context",
    "git_credentials",
    "workspace_key",
    *MODELS_AND_TOOLS,
}
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: here, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: here, context: {cluster: here, user: us}}]
current-context: here
users: [{name: us, user: {token: none}}]
"""


def constants(prefix: str) -> set[str]:
    return {value for name, value in vars(names).items() if name.startswith(prefix)}


class WatchedSettings(Settings):
    """Settings that remember which credentials were asked for."""

    def __getattribute__(self, name: str) -> object:
        if name in CREDENTIALS:
            object.__getattribute__(self, "__dict__").setdefault("_asked", set()).add(name)
        return super().__getattribute__(name)

    @property
    def asked(self) -> set[str]:
        seen: set[str] = self.__dict__.get("_asked", set())
        return seen


async def served(queue: str, settings: Settings) -> list[Callable[..., object]]:
    """What the real worker would serve on a queue; the client must not be used to find out."""
    async with AsyncExitStack() as stack:
        return await activities_of(queue, settings, object.__new__(Client), stack)


@pytest.fixture
def settings(tmp_path: Path) -> WatchedSettings:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG, encoding="utf-8")
    return WatchedSettings(
        data_dir=tmp_path / "data",
        kubeconfig=kubeconfig,
        git_credentials={"localhost": SecretStr("Bearer of nothing")},
    )


# -- names ----------------------------------------------------------------------------------------


def test_the_workflow_types_that_have_names_are_those_that_are_served() -> None:
    defined = {value for name, value in vars(names).items() if name.endswith("_WORKFLOW")}
    assert sorted(each.name for each in REGISTERED) == sorted(defined)


@pytest.mark.parametrize(
    ("prefix", "kind"), [("SIGNAL_", "signals"), ("QUERY_", "queries"), ("UPDATE_", "updates")]
)
def test_each_message_name_is_handled_and_each_handler_has_a_name(prefix: str, kind: str) -> None:
    handled = {handler.name for each in REGISTERED for handler in getattr(each, kind)}
    assert handled == constants(prefix)


@pytest.mark.parametrize("each", REGISTERED, ids=lambda each: each.name)
def test_each_handler_takes_one_model_and_says_what_it_is_for(each: reading.Registered) -> None:
    for handler in (*each.signals, *each.updates):
        assert len(handler.takes) == 1, handler.name
        assert issubclass(handler.takes[0], BaseModel), handler.name
    for handler in (*each.signals, *each.updates, *each.queries):
        assert handler.described, f"{handler.name} has no description: the Web UI shows it"


def test_the_queues_of_the_worker_are_the_queues_of_the_names() -> None:
    assert set(names.TASK_QUEUES) == {
        value for name, value in vars(names).items() if name.endswith("_QUEUE")
    }


# -- activities -----------------------------------------------------------------------------------


async def test_each_activity_is_served_on_the_queue_where_it_is_called(
    settings: WatchedSettings,
) -> None:
    offers = {
        queue: {reading.activity_of(each)[0] for each in await served(queue, settings)}
        for queue in names.TASK_QUEUES
    }
    calls = list(reading.activity_calls())
    assert [call for call in calls if call.activity not in offers[call.queue]] == []
    assert {call.activity for call in calls} == set().union(*offers.values()), "served, not called"


def test_workflows_call_activities_through_a_profile_only() -> None:
    assert len(list(reading.activity_calls())) == len(reading.mentions_of_activities()) > 10
    for way in ("execute_activity", "start_activity", "execute_local_activity"):
        assert reading.calls_of(way) == set()
    assert reading.calls_of("execute_activity_method") == {"options.py"}


async def test_the_doubles_of_the_workflow_tests_have_the_real_contracts(
    settings: WatchedSettings,
) -> None:
    doubles = two_environments("http://localhost:1/a.git").served()
    assert set(doubles) == set(names.TASK_QUEUES)
    for queue, activities in doubles.items():
        real = [reading.activity_of(each) for each in await served(queue, settings)]
        ours = [reading.activity_of(each) for each in activities]
        assert sorted(ours, key=str) == sorted(real, key=str)


# -- credentials ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("queue", "may_ask_for"),
    [
        (names.WORKFLOW_QUEUE, set[str]()),
        (names.GIT_QUEUE, {"git_credentials"}),
        (names.CLUSTER_QUEUE, {"kubeconfig", "context"}),
        (names.WORKSPACE_QUEUE, set[str]()),
        (names.AGENTS_QUEUE, MODELS_AND_TOOLS),
        ("another-agents-queue", MODELS_AND_TOOLS),
    ],
)
async def test_a_queue_asks_for_its_own_credentials_only(
    queue: str, may_ask_for: set[str], settings: WatchedSettings
) -> None:
    settings.__dict__.pop("_asked", None)
    await served(queue, settings)
    assert settings.asked == may_ask_for


def test_whatever_holds_a_secret_counts_as_a_credential_here() -> None:
    secrets = {
        name
        for name, field in Settings.model_fields.items()
        if "SecretStr" in repr(field.annotation) or name in AGENT_CREDENTIALS
    }
    assert secrets <= CREDENTIALS


@pytest.mark.parametrize(
    "queue",
    [names.WORKFLOW_QUEUE, names.GIT_QUEUE, names.WORKSPACE_QUEUE, names.AGENTS_QUEUE],
)
async def test_only_the_cluster_queue_needs_a_kubeconfig(queue: str, tmp_path: Path) -> None:
    nowhere = Settings(data_dir=tmp_path, kubeconfig=tmp_path / "absent")
    async with asyncio.timeout(20):
        activities = await served(queue, nowhere)
    assert bool(activities) is (queue != names.WORKFLOW_QUEUE)


# -- errors ---------------------------------------------------------------------------------------


def test_each_error_type_is_raised_and_each_raised_type_is_known() -> None:
    raised = reading.raised_types()
    known = set(get_args(ErrorType))
    assert known - set(raised) == set(), "nothing raises these"
    assert {kind: raised[kind] for kind in set(raised) - known} == {}


# -- sizes ----------------------------------------------------------------------------------------


def test_the_worker_fits_on_two_pages() -> None:
    assert reading.module_sizes()["worker.py"] < 150


def test_every_module_has_fewer_than_300_lines() -> None:
    assert {file: size for file, size in reading.module_sizes().items() if size >= 300} == {}
