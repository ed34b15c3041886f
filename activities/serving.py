"""Which activities each task queue serves, over clients with that queue's credentials only.

What a queue needs is imported for that queue: a worker of its own for the cluster does without the
weight of rendering, and the others do without the cluster's client.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from temporalio.client import Client

from pilothouse.clients.settings import AGENT_CREDENTIALS, Settings
from pilothouse.clients.store import ContentStore
from pilothouse.models import names

Activities = list[Callable[..., object]]


async def activities_of(
    queue: str, settings: Settings, client: Client, stack: AsyncExitStack
) -> Activities:
    """The activities of one queue, over clients that hold that queue's credentials and no other."""
    match queue:
        case names.GIT_QUEUE:
            return _git(settings)
        case names.CLUSTER_QUEUE:
            return await _cluster(settings, stack)
        case names.WORKSPACE_QUEUE:
            return _workspace(settings, client)
        case names.WORKFLOW_QUEUE:
            return []
        case _:  # the agents' queue, or one that the pipeline file gives to some agents
            return await _agents(settings, stack)


def _git(settings: Settings) -> Activities:
    from activities.git import GitActivities
    from pilothouse.clients.git import GitMirrors

    mirrors = GitMirrors(settings.mirrors_dir, credentials=settings.git_credentials)
    git = GitActivities(mirrors=mirrors, store=ContentStore(settings.store_dir))
    return [
        git.read_head,
        git.take_snapshot,
        git.compare_revisions,
        git.propose_commit,
        git.publish_commit,
    ]


async def _cluster(settings: Settings, stack: AsyncExitStack) -> Activities:
    from activities.cluster import ClusterActivities
    from pilothouse.clients.cluster import ClusterClient

    cluster = await ClusterClient.connect(settings.kubeconfig, settings.context)
    await stack.enter_async_context(cluster)
    ours = ClusterActivities(cluster=cluster, store=ContentStore(settings.store_dir))
    return [
        ours.plan_deployment,
        ours.apply_plan,
        ours.await_health,
        ours.observe_environment,
    ]


def _workspace(settings: Settings, client: Client) -> Activities:
    from activities.ledgers import LedgerActivities
    from activities.material import MaterialActivities
    from activities.schedules import ScheduleActivities
    from activities.workspace import WorkspaceActivities
    from pilothouse.clients.helm import HelmProgram
    from pilothouse.clients.kustomize import build_kustomization
    from pilothouse.clients.registry import RegistryClient
    from pilothouse.clients.registry_access import read_credentials
    from pilothouse.clients.schemas import built_in_schemas
    from pilothouse.gitops.validation.schemas import SchemaCheck

    files = WorkspaceActivities(
        store=ContentStore(settings.store_dir),
        schemas=SchemaCheck(built_in_schemas()),
        kustomize=build_kustomization,
        scratch=settings.scratch_dir,
        helm=HelmProgram(settings.helm),
        images=RegistryClient(
            read_credentials(settings.registry_credentials),
            insecure=settings.insecure_registries,
        ),
    )
    schedules = ScheduleActivities(client=client)
    ledgers = LedgerActivities(client=client)
    material = MaterialActivities(store=ContentStore(settings.store_dir))
    return [
        files.load_pipeline,
        files.render_and_validate,
        files.run_tests,
        schedules.ensure_monitor_schedule,
        ledgers.read_release,
        material.gather_material,
    ]


async def _agents(settings: Settings, stack: AsyncExitStack) -> Activities:
    from activities.conversations import ConversationActivities
    from activities.models import ModelActivities
    from activities.tools import ToolActivities
    from pilothouse.clients.mcp import McpAccess, McpClients, workspace_server
    from pilothouse.clients.models import PriceTable, Providers, ReplyJournal

    store, secrets = ContentStore(settings.store_dir), settings.secrets(AGENT_CREDENTIALS)
    journal = ReplyJournal(settings.replies_dir)
    await asyncio.to_thread(journal.trim)
    providers = await stack.enter_async_context(Providers(settings))
    clients = McpClients(McpAccess.from_settings(settings))
    stack.push_async_callback(clients.aclose)
    conversations = ConversationActivities(store=store, secrets=secrets)
    tools = ToolActivities(
        store=store, clients=clients, secrets=secrets, workspace=workspace_server(settings)
    )
    models = ModelActivities(
        provider_for=providers.provider_for,
        store=store,
        journal=journal,
        prices=PriceTable.read(settings.model_prices),
        secrets=secrets,
    )
    return [
        conversations.open_conversation,
        conversations.read_answer,
        models.call_model,
        tools.list_tools,
        tools.call_tool,
    ]
