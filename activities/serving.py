"""Which activities each task queue serves, over clients with that queue's credentials only."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from temporalio.client import Client

from activities.cluster import ClusterActivities
from activities.git import GitActivities
from activities.ledgers import LedgerActivities
from activities.schedules import ScheduleActivities
from activities.workspace import WorkspaceActivities
from pilothouse.clients.cluster import ClusterClient
from pilothouse.clients.git import GitMirrors
from pilothouse.clients.helm import HelmProgram
from pilothouse.clients.kustomize import build_kustomization
from pilothouse.clients.registry import RegistryClient
from pilothouse.clients.registry_access import read_credentials
from pilothouse.clients.schemas import built_in_schemas
from pilothouse.clients.settings import Settings
from pilothouse.clients.store import ContentStore
from pilothouse.gitops.validation.schemas import SchemaCheck
from pilothouse.models import names


async def activities_of(
    queue: str, settings: Settings, client: Client, stack: AsyncExitStack
) -> list[Callable[..., object]]:
    """The activities of one queue, over clients that hold that queue's credentials and no other."""
    store = ContentStore(settings.store_dir)
    match queue:
        case names.GIT_QUEUE:
            mirrors = GitMirrors(settings.mirrors_dir, credentials=settings.git_credentials)
            git = GitActivities(mirrors=mirrors, store=store)
            return [
                git.read_head,
                git.take_snapshot,
                git.compare_revisions,
                git.propose_commit,
                git.publish_commit,
            ]
        case names.CLUSTER_QUEUE:
            cluster = await ClusterClient.connect(settings.kubeconfig, settings.context)
            await stack.enter_async_context(cluster)
            ours = ClusterActivities(cluster=cluster, store=store)
            return [
                ours.plan_deployment,
                ours.apply_plan,
                ours.await_health,
                ours.observe_environment,
            ]
        case names.WORKSPACE_QUEUE:
            files = WorkspaceActivities(
                store=store,
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
            return [
                files.load_pipeline,
                files.render_and_validate,
                files.run_tests,
                schedules.ensure_monitor_schedule,
                ledgers.read_release,
            ]
        case _:
            return []
