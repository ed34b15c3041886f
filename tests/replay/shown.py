"""What each recorded history has to show, so that its name cannot lie.

The recorder refuses to write a history that does not show it; the test reads the committed file.
"""

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilothouse.models import names

HISTORIES = Path(__file__).with_name("histories")


@dataclass(frozen=True)
class Shown:
    """What must be seen in one history."""

    workflow: str
    outcome: str = ""
    """`outcome`, `verdict` or `phase` of the result; empty: an entity, which has not ended."""
    activities: frozenset[str] = frozenset()
    """Activity types that must have been scheduled."""
    never: frozenset[str] = frozenset()
    """Activity types that must not have been scheduled."""
    signals: Mapping[str, int] = field(default_factory=dict)
    """Signal name -> how often it must have come, at least."""
    children: Mapping[str, int] = field(default_factory=dict)
    """Workflow type -> how many children of it were started."""
    words: tuple[str, ...] = ()
    """Texts that must stand in some payload."""


_READS = frozenset({"take_snapshot", "load_pipeline", "render_and_validate", "plan_deployment"})
_WRITES = frozenset({"apply_plan", "await_health"})
_CONVERSES = frozenset({"open_conversation", "list_tools", "call_model"})
_REVERTS = frozenset({"propose_commit", "publish_commit"})

SHOWN = {
    "deployment-deployed": Shown(
        names.DEPLOYMENT_WORKFLOW,
        "deployed",
        activities=_READS | _WRITES,
        signals={names.SIGNAL_LOCK_ANSWERED: 1},
    ),
    "deployment-rolled-back": Shown(
        names.DEPLOYMENT_WORKFLOW,
        "rolled_back",
        activities=_READS | _WRITES,
        children={names.ROLLBACK_WORKFLOW: 1},
        words=("crash_loop",),
    ),
    "deployment-approved": Shown(
        names.DEPLOYMENT_WORKFLOW,
        "deployed",
        activities=_READS | _WRITES,
        signals={names.SIGNAL_APPROVE: 1},
        words=('"approved":true',),
    ),
    "deployment-rejected": Shown(
        names.DEPLOYMENT_WORKFLOW,
        "rejected",
        activities=_READS,
        never=_WRITES,
        signals={names.SIGNAL_REJECT: 1},
    ),
    "deployment-superseded": Shown(
        names.DEPLOYMENT_WORKFLOW,
        "superseded",
        activities=_READS,
        never=_WRITES,
        signals={names.SIGNAL_SUPERSEDE: 1},
    ),
    "deployment-gave-way": Shown(
        names.DEPLOYMENT_WORKFLOW,
        "superseded",
        activities=_READS | _WRITES | {"compare_revisions"},
        signals={names.SIGNAL_LOCK_PROBED: 1},
        words=("is newer and waits",),
    ),
    "rollback-rolled-back": Shown(
        names.ROLLBACK_WORKFLOW,
        "rolled_back",
        activities=_REVERTS,
        signals={names.SIGNAL_LOCK_ANSWERED: 1},
        children={names.DEPLOYMENT_WORKFLOW: 1},
    ),
    "pipeline-succeeded": Shown(
        names.PIPELINE_WORKFLOW,
        "succeeded",
        activities=frozenset({"render_and_validate", "run_tests", "publish_commit"}),
        children={names.DEPLOYMENT_WORKFLOW: 2, names.MONITOR_WORKFLOW: 2},
    ),
    "pipeline-pull-request-blocked": Shown(
        names.PIPELINE_WORKFLOW,
        "blocked",
        activities=frozenset({"read_head", "render_and_validate"}),
        never=frozenset({"run_tests", "plan_deployment", "apply_plan"}),
        words=("manifests/a.yaml", '"pull-7"'),
    ),
    "pipeline-rolled-back": Shown(
        names.PIPELINE_WORKFLOW,
        "rolled_back",
        activities=frozenset({"run_tests", "publish_commit"}),
        children={names.DEPLOYMENT_WORKFLOW: 1},
        words=("status.rolled_back",),
    ),
    "repository-two-pushes": Shown(
        names.REPOSITORY_WORKFLOW,
        activities=frozenset({"read_head"}),
        signals={names.SIGNAL_REPOSITORY_EVENT: 2, names.SIGNAL_RUN_FINISHED: 2},
        children={names.PIPELINE_WORKFLOW: 2},
    ),
    "environment-after-rollback": Shown(
        names.ENVIRONMENT_WORKFLOW,
        signals={
            names.SIGNAL_REQUEST_LOCK: 2,
            names.SIGNAL_RELEASE_LOCK: 2,
            names.SIGNAL_RECORD_RELEASE: 3,
            names.SIGNAL_SET_HOLD: 1,
        },
        words=('"outcome":"bad"', '"outcome":"good"', '"kind":"rollback"'),
    ),
    "environment-drift-put-back": Shown(
        names.ENVIRONMENT_WORKFLOW,
        signals={names.SIGNAL_RECORD_OBSERVATION: 1, names.SIGNAL_RELEASE_LOCK: 2},
        children={names.DEPLOYMENT_WORKFLOW: 1},
        words=('"correction":true', "/spec/paused"),
    ),
    "monitor-healthy": Shown(
        names.MONITOR_WORKFLOW,
        "healthy",
        activities=frozenset({"read_head", "load_pipeline", "observe_environment"}),
        never=_WRITES,
    ),
    "agent-answered": Shown(
        names.AGENT_WORKFLOW,
        "answered",
        activities=_CONVERSES | {"call_tool", "read_answer"},
        words=("k8s/peek", "it panics"),
    ),
    "agent-in-circles": Shown(
        names.AGENT_WORKFLOW,
        "loop",
        activities=_CONVERSES | {"call_tool"},
        never=frozenset({"read_answer"}),
    ),
    "agent-superseded": Shown(
        names.AGENT_WORKFLOW,
        "superseded",
        activities=_CONVERSES | {"call_tool"},
        never=frozenset({"read_answer"}),
        signals={names.SIGNAL_SUPERSEDE: 1},
    ),
    "pipeline-advised": Shown(
        names.PIPELINE_WORKFLOW,
        "succeeded",
        activities=frozenset({"render_and_validate", "gather_material", "publish_commit"}),
        signals={names.SIGNAL_EMIT: 1},
        children={names.AGENT_WORKFLOW: 1, names.DEPLOYMENT_WORKFLOW: 1},
        words=("asks for a person", "scanner_passed"),
    ),
    "deployment-advised": Shown(
        names.DEPLOYMENT_WORKFLOW,
        "deployed",
        activities=_WRITES | {"plan_deployment", "gather_material", "read_release"},
        signals={names.SIGNAL_APPROVE: 2},
        children={names.AGENT_WORKFLOW: 1},
        words=('"by":"lead@example.org"',),
    ),
    "environment-handed-over": Shown(
        names.ENVIRONMENT_WORKFLOW,
        signals={names.SIGNAL_TRANSFER_OWNERSHIP: 2},
        words=("audit week",),
    ),
    "lease-released": Shown(
        names.LEASE_WORKFLOW,
        "ended",
        signals={
            names.SIGNAL_RENEW_LOCK: 1,
            names.SIGNAL_LOCK_ANSWERED: 1,
            names.SIGNAL_RELEASE_LOCK: 1,
        },
    ),
}


def disagreements(history: dict[str, Any], shown: Shown) -> list[str]:
    """Where a history, as JSON, does not show what it has to; empty if it does."""
    events: list[dict[str, Any]] = history["events"]
    begun = events[0]["workflowExecutionStartedEventAttributes"]["workflowType"]["name"]
    activities = set(_named(events, "activityTaskScheduledEventAttributes", "activityType"))
    signals = [e["signalName"] for e in _all(events, "workflowExecutionSignaledEventAttributes")]
    children = list(_named(events, "childWorkflowExecutionStartedEventAttributes", "workflowType"))
    texts = "\n".join(_payloads(events))
    wrong = []
    if begun != shown.workflow:
        wrong.append(f"it is a {begun}")
    if (ended := _outcome(events)) != shown.outcome:
        wrong.append(f"it ended as {ended!r} instead of {shown.outcome!r}")
    wrong += [f"{name} was not called" for name in sorted(shown.activities - activities)]
    wrong += [f"{name} was called" for name in sorted(shown.never & activities)]
    wrong += [
        f"signal {name} came {signals.count(name)} times instead of {times}"
        for name, times in shown.signals.items()
        if signals.count(name) < times
    ]
    wrong += [
        f"{children.count(name)} children are {name} instead of {times}"
        for name, times in shown.children.items()
        if children.count(name) != times
    ]
    return wrong + [f"{word} is said nowhere" for word in shown.words if word not in texts]


def _all(events: list[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    return (event[kind] for event in events if kind in event)


def _named(events: list[dict[str, Any]], kind: str, name: str) -> Iterator[str]:
    return (attributes[name]["name"] for attributes in _all(events, kind))


def _outcome(events: list[dict[str, Any]]) -> str:
    """The outcome in the result; empty while it runs, the event's own name if it failed."""
    last = events[-1]
    completed = last.get("workflowExecutionCompletedEventAttributes")
    if completed is not None:
        result = json.loads(b64decode(completed["result"]["payloads"][0]["data"]))
        return str(result.get("outcome") or result.get("verdict") or result.get("phase"))
    ends = ("FAILED", "TERMINATED", "CANCELED", "TIMED_OUT", "CONTINUED_AS_NEW")
    kind = str(last["eventType"])
    return kind if kind.startswith("EVENT_TYPE_WORKFLOW_EXECUTION_") and kind.endswith(ends) else ""


def _payloads(value: object) -> Iterator[str]:
    """The text of every payload, wherever it stands."""
    if isinstance(value, dict):
        if "metadata" in value and isinstance(value.get("data"), str):
            yield b64decode(value["data"]).decode(errors="replace")
        for inner in value.values():
            yield from _payloads(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _payloads(inner)
