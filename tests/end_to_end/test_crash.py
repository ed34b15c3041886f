"""kill -9 of the workers at ten points of the story, and the same end as without."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from git import Blob, Repo
from kubernetes.aio import client as kube
from temporalio.api.enums.v1 import EventType

from pilothouse.models import names

pytestmark = pytest.mark.timeout(400)

STEP_2 = [
    ("pipeline", "take_snapshot"),
    ("pipeline", "run_tests"),
    ("staging", "apply_plan"),
    ("staging", "await_health"),
    ("production", "apply_plan"),
]
STEP_3 = [
    ("pipeline", "render_and_validate"),
    ("staging", "plan_deployment"),
    ("staging", "apply_plan"),
    ("staging", "await_health"),
    ("rollback", "publish_commit"),
]


@dataclass(frozen=True)
class End:
    """Everything that a person could compare, without ids that depend on the time."""

    outcomes: tuple[Any, ...]
    commits: tuple[str, ...]
    trees: tuple[Any, ...]
    status: tuple[str, ...]
    deployed: tuple[Any, ...]
    ledgers: tuple[Any, ...]


def workflow_id(project: Any, where: str, revision: str) -> str:
    slug = project.repository.slug
    match where:
        case "pipeline":
            return names.pipeline_id(slug, "push", revision)
        case "rollback":
            return names.rollback_id(slug, "staging", names.short(revision))
        case environment:
            return names.deployment_id(slug, environment, revision)


async def kill_at(project: Any, where: str, activity: str, revision: str) -> None:
    """Kill the workers as soon as history says that the activity was scheduled."""
    handle = project.stack.client.get_workflow_handle(workflow_id(project, where, revision))
    async with asyncio.timeout(120):
        while not await project.see.exists(handle.id):
            await asyncio.sleep(0.02)
        async for event in handle.fetch_history_events(wait_new_event=True):
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                scheduled = event.activity_task_scheduled_event_attributes
                if scheduled.activity_type.name == activity:
                    await project.stack.kill_workers()
                    return
    raise AssertionError(f"{activity} was never scheduled in {handle.id}")


async def tell(project: Any, kills: Sequence[tuple[str, str]]) -> End:
    """Steps 2 and 3 of the demo, with at most one kill in each."""
    good = await project.good()
    first = asyncio.create_task(kill_at(project, *kills[0], good)) if kills else None
    deployed = await project.approve(good)
    if first is not None:
        await first
    bad = await project.bad()
    if kills:
        await kill_at(project, *kills[1], bad)
    rolled_back = await project.see.run(bad, "push")
    return await end_of(project, [deployed, rolled_back], {good: "good", bad: "bad"})


async def end_of(project: Any, results: list[Any], words: dict[str, str]) -> End:
    bare = Repo(project.stack.services.repositories_dir / f"{project.name}.git")
    main = list(bare.iter_commits("main"))
    words[main[0].hexsha] = "revert"
    own = {project.name: "PROJECT", **words, **{full[:12]: w for full, w in words.items()}}
    states = [await project.see.environment(each) for each in ("staging", "production")]
    return End(
        outcomes=tuple(
            (r.outcome, tuple((s.agent, s.environment, s.outcome, s.event) for s in r.stages))
            for r in results
        ),
        commits=tuple(_plain(str(commit.message), own) for commit in main),
        # The pipeline file names each project's own namespaces; the rest is the same bytes.
        trees=tuple(
            (item.path, item.hexsha)
            for item in main[0].tree.traverse()
            if isinstance(item, Blob) and item.path != "pipeline.yaml"
        ),
        status=tuple(
            _plain(str(commit.summary), own) for commit in bare.iter_commits("pilothouse/status")
        ),
        deployed=tuple([await _live(project, each) for each in ("staging", "production")]),
        ledgers=tuple(
            (
                words.get(state.last_good.revision) if state.last_good else None,
                [(words.get(past.revision), past.outcome) for past in state.releases],
                state.hold.kind if state.hold else None,
                state.holder,
                state.fencing,
            )
            for state in states
        ),
    )


def _plain(text: str, words: dict[str, str]) -> str:
    for long, short in words.items():
        text = text.replace(long, short)
    # A container that keeps crashing while nobody looks is restarted once more.
    return re.sub(r"\d+ restarts", "N restarts", text)


async def _live(project: Any, environment: str) -> Any:
    namespace = project.namespace(environment)
    async with await project.stack.cluster() as api:
        deployment = await kube.AppsV1Api(api).read_namespaced_deployment("model-api", namespace)
        maps = await kube.CoreV1Api(api).list_namespaced_config_map(namespace)
    return (
        deployment.spec.template.spec.containers[0].image,
        deployment.spec.replicas,
        deployment.status.ready_replicas,
        deployment.spec.template.metadata.annotations,
        # The inventory's own name holds a hash of the repository's.
        sorted(each.metadata.name.rpartition("-")[0] for each in maps.items),
    )


@pytest.fixture(scope="module")
async def straight(stack: Any) -> End:
    """The story without any kill."""
    return await tell(await stack.project("straight"), [])


async def test_the_story_without_a_kill_ends_rolled_back(straight: End) -> None:
    assert [outcome for outcome, _ in straight.outcomes] == ["succeeded", "rolled_back"]
    assert straight.commits[0].startswith("Revert to good: bad failed in staging")
    assert straight.deployed[0][0].endswith(":v1.2.1")
    assert straight.status == ("Record push bad: rolled_back", "Record push good: succeeded")
    assert straight.ledgers[0][:3] == (
        "revert",
        [("good", "good"), ("bad", "bad"), ("revert", "good")],
        "rollback",
    )


async def test_ten_kills_change_nothing(stack: Any, straight: End) -> None:
    """Five stories at once, two kills each: every kill also hits the other four somewhere."""
    projects = [await stack.project(f"killed-{number}") for number in range(5)]
    kills = list(zip(STEP_2, STEP_3, strict=True))
    async with asyncio.TaskGroup() as group:
        stories = [
            group.create_task(tell(project, pair))
            for project, pair in zip(projects, kills, strict=True)
        ]
    for story in stories:
        assert story.result() == straight
    assert stack.kills == 10
