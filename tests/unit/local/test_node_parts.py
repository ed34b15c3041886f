"""The small parts of the node simulator: scripts, references, logs, addresses, the queue."""

import asyncio
from ipaddress import IPv4Network
from typing import Any

import pytest

from pilothouse.local.nodes.addresses import AddressPool
from pilothouse.local.nodes.api import is_name, path
from pilothouse.local.nodes.logs import MAX_LINES, ContainerLog
from pilothouse.local.nodes.pods.behavior import PREFIX, Script, script_for
from pilothouse.local.nodes.pods.documents import covers
from pilothouse.local.nodes.pods.references import Reference, needs_of, problems_of
from pilothouse.local.nodes.workqueue import WorkQueue
from pilothouse.models.errors import TemporaryError


def annotated(**annotations: str) -> dict[str, Any]:
    named = {PREFIX + key.replace("__", "."): text for key, text in annotations.items()}
    return {"metadata": {"annotations": named}}


@pytest.mark.parametrize(
    ("image", "behavior"),
    [
        ("simulated.invalid/crash-loop", "crash-loop"),
        ("simulated.invalid/oom:1.2", "oom"),
        ("simulated.invalid/not-ready/team/api@sha256:1", "not-ready"),
        ("simulated.invalid/other", "run"),
        ("example.com/crash-loop:missing", "run"),
        ("example.com/simulated.invalid/crash-loop", "run"),
    ],
)
def test_only_reserved_image_names_choose_a_behavior(image: str, behavior: str) -> None:
    script = script_for({"metadata": {}}, {"name": "api", "image": image}, init=False)
    assert script.behavior == behavior


def test_an_annotation_beats_the_image_and_the_containers_own_beats_the_pods() -> None:
    container = {"name": "api", "image": "simulated.invalid/oom"}

    assert script_for(annotated(behavior="run"), container, init=False).behavior == "run"
    own = annotated(behavior="run", behavior__api="not-ready")
    assert script_for(own, container, init=False).behavior == "not-ready"


def test_the_pods_behavior_log_and_exit_code_are_not_for_init_containers() -> None:
    pod = annotated(behavior="crash-loop", log="x", **{"exit-code": "3"})
    assert script_for(pod, {"name": "setup", "image": "i"}, init=True) == Script()


@pytest.mark.parametrize("text", ["-1", "256", "one", "", "٣"])
def test_a_wrong_exit_code_is_ignored_and_said(text: str) -> None:
    script = script_for(annotated(**{"exit-code": text}), {"name": "a", "image": "i"}, init=False)
    assert script.exit_code is None
    assert "not a number from 0 to 255" in script.problem


REFERRING_POD: dict[str, Any] = {
    "spec": {
        "containers": [
            {
                "name": "api",
                "envFrom": [
                    {"configMapRef": {"name": "settings"}},
                    {"secretRef": {"name": "maybe", "optional": True}},
                ],
                "env": [
                    {"name": "A", "value": "1"},
                    {"name": "B", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "b"}}},
                    {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                ],
            }
        ],
        "volumes": [
            {"name": "plain", "emptyDir": {}},
            {"name": "files", "secret": {"secretName": "tls"}},
            {
                "name": "all",
                "projected": {
                    "sources": [
                        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt"}]}},
                        {"configMap": {"name": "page", "items": [{"key": "index.html"}]}},
                        {"serviceAccountToken": {"path": "token"}},
                    ]
                },
            },
        ],
    }
}


def test_needs_are_what_is_not_optional() -> None:
    needs = needs_of(REFERRING_POD)

    assert needs.containers == {
        "api": (Reference("configmaps", "settings"), Reference("secrets", "keys", "b"))
    }
    assert needs.volumes == (
        ("files", Reference("secrets", "tls")),
        ("all", Reference("configmaps", "page", "index.html")),
    )


def test_problems_are_worded_as_a_kubelet_words_them() -> None:
    needs = needs_of(REFERRING_POD)
    found = {
        ("configmaps", "settings"): frozenset({"a"}),
        ("secrets", "keys"): frozenset({"other"}),
        ("secrets", "tls"): frozenset({"tls.key"}),
        ("configmaps", "page"): None,
    }
    problems = problems_of(needs, "shop", found)  # type: ignore[arg-type]  # inferred too widely

    assert problems.mount == (
        'MountVolume.SetUp failed for volume "all" : configmap "page" not found'
    )
    assert problems.containers == {"api": "couldn't find key b in Secret shop/keys"}


@pytest.mark.parametrize("name", ["..", "a/b", "", "A", "a" * 254, "a\n"])
def test_what_cannot_be_a_name_never_becomes_part_of_a_path(name: str) -> None:
    assert not is_name(name)


def test_path_segments_are_quoted() -> None:
    assert path("api", "v1", "a/b?c") == "/api/v1/a%2Fb%3Fc"


def test_covers_ignores_defaults_and_the_fields_of_others() -> None:
    live = {"a": 1, "b": 2, "conditions": [{"type": "X", "status": "True"}, {"type": "Y"}]}

    assert covers(live, {"a": 1, "gone": None, "zero": 0})
    assert covers(live, {"conditions": [{"type": "X", "reason": None}]})
    assert not covers(live, {"a": 2})
    assert not covers(live, {"conditions": [{"type": "X", "status": "False"}]})
    assert not covers({"items": [{"a": 1}]}, {"items": [{"a": 1}, {"a": 2}]})


def test_a_log_keeps_the_last_lines_and_the_instance_before() -> None:
    log = ContainerLog()
    assert log.read() is None
    for number in range(MAX_LINES + 5):
        log.append(0, float(number), f"line {number}")
    assert log.read(previous=True) is None
    log.append(1, 5000.0, "again")

    previous = log.read(previous=True, tail=1)
    assert previous is not None
    assert [line.text for line in previous] == [f"line {MAX_LINES + 4}"]
    assert len(log.read(previous=True) or []) == MAX_LINES
    assert [line.text for line in log.read() or []] == ["again"]
    assert log.read(tail=0) == []
    assert log.read(since=5001.0) == []


async def test_a_follower_gets_new_lines_until_the_container_ends() -> None:
    log = ContainerLog()
    log.append(0, 0.0, "old")
    seen: list[str] = []

    async def follow() -> None:
        async for line in log.follow(after=0):
            seen.append(line.text)

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(follow())
        await asyncio.sleep(0)
        log.append(0, 1.0, "new")
        await asyncio.sleep(0)
        log.append(0, 2.0, "last")
        log.close()
    assert seen == ["new", "last"]


def test_addresses_are_unique_and_come_back_late() -> None:
    pool = AddressPool(IPv4Network("10.0.0.0/29"))
    first = pool.claim()
    assert pool.claim("10.0.0.4") == "10.0.0.4"
    assert pool.claim("10.0.0.4") != "10.0.0.4"
    pool.release(first)
    assert pool.claim() != first
    taken = {pool.claim() for _ in range(3)}
    assert first in taken
    with pytest.raises(TemporaryError, match="no free pod address"):
        pool.claim()


async def test_a_key_is_never_in_two_hands_and_never_lost() -> None:
    queue = WorkQueue()
    queue.add("pod")
    queue.add("pod")
    assert await queue.take() == "pod"
    queue.add("pod")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.take(), 0.01)
    queue.done("pod")
    async with asyncio.timeout(5):
        assert await queue.take() == "pod"
    queue.done("pod")


async def test_a_later_timer_replaces_an_earlier_one() -> None:
    queue = WorkQueue()
    queue.add_after("pod", 600)
    queue.add_after("pod", 0.001)
    async with asyncio.timeout(5):
        assert await queue.take() == "pod"
    queue.add_after("other", 600)
    queue.clear()
