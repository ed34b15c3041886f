"""Why is an object not well?"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from pilothouse.gitops.diagnosis import ContainerLog, Seen, current_pods, diagnose
from pilothouse.gitops.diagnosis.text import MAX_QUOTE, most_telling, quote
from pilothouse.models.health import Cause
from pilothouse.models.objects import ObjectRef

REF = ObjectRef(api_version="apps/v1", kind="Deployment", namespace="staging", name="model-api")
LIVE: dict[str, JsonValue] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "model-api", "namespace": "staging", "uid": "d"},
}


def pod(name: str = "model-api-1", policy: str = "Always", **container: Any) -> Any:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "staging", "uid": name},
        "spec": {"restartPolicy": policy},
        "status": {"containerStatuses": [{"name": "api", "image": "registry/api:2", **container}]},
    }


def waiting(reason: str, message: str = "", **more: Any) -> Any:
    return pod(state={"waiting": {"reason": reason, "message": message}}, **more)


def ended(code: int, restarts: int, reason: str = "Error") -> Any:
    return waiting(
        "CrashLoopBackOff",
        "back-off 10s restarting failed container=api",
        restartCount=restarts,
        lastState={"terminated": {"exitCode": code, "reason": reason}},
    )


def event(reason: str, message: str, name: str, kind: str = "Pod") -> Any:
    about = {"kind": kind, "name": name}
    return {"type": "Warning", "reason": reason, "message": message, "involvedObject": about}


CASES: list[tuple[Any, Cause, bool, str]] = [
    (
        ended(1, 3),
        "crash_loop",
        True,
        "Container api keeps crashing with exit code 1 (3 restarts).",
    ),
    (ended(1, 1), "crash_loop", False, "Container api ended with exit code 1 (1 restart)."),
    (
        ended(137, 2, "OOMKilled"),
        "out_of_memory",
        True,
        "Container api ran out of memory (exit code 137, 2 restarts).",
    ),
    (
        waiting("ImagePullBackOff", "Back-off pulling image"),
        "image_pull",
        True,
        "Container api cannot pull registry/api:2 (ImagePullBackOff).",
    ),
    (
        waiting("ErrImagePull"),
        "image_pull",
        False,
        "Container api cannot pull registry/api:2 (ErrImagePull).",
    ),
    (
        waiting("CreateContainerConfigError", 'secret "db" not found'),
        "bad_configuration",
        True,
        "Container api cannot be created (CreateContainerConfigError).",
    ),
    (
        pod(state={"running": {}}, ready=False),
        "not_ready",
        False,
        "Container api runs but is not ready.",
    ),
    (
        pod(state={"terminated": {"exitCode": 2, "reason": "Error"}}, policy="Never"),
        "crash_loop",
        True,
        "Container api ended with exit code 2 (0 restarts).",
    ),
]


@pytest.mark.parametrize(("found", "cause", "final", "summary"), CASES)
def test_a_pod_shows_the_cause(found: Any, cause: Cause, final: bool, summary: str) -> None:
    diagnosis = diagnose(Seen(REF, LIVE, pods=(found,)))
    assert (diagnosis.cause, diagnosis.final, diagnosis.summary) == (cause, final, summary)


def test_a_crashed_container_that_runs_again_may_still_get_ready() -> None:
    running = pod(
        state={"running": {}},
        ready=False,
        restartCount=5,
        lastState={"terminated": {"exitCode": 1, "reason": "Error"}},
    )
    diagnosis = diagnose(Seen(REF, LIVE, pods=(running,)))
    assert (diagnosis.cause, diagnosis.final) == ("crash_loop", False)


def test_an_object_that_is_gone_is_missing_for_good() -> None:
    diagnosis = diagnose(Seen(REF, None))
    assert (diagnosis.cause, diagnosis.final) == ("missing_object", True)
    assert diagnosis.summary == "Deployment/staging/model-api is not in the cluster."


def test_a_final_cause_outranks_one_that_may_pass() -> None:
    pods = (pod("a", state={"running": {}}, ready=False), waiting("ImagePullBackOff"))
    assert diagnose(Seen(REF, LIVE, pods=pods)).cause == "image_pull"


def test_several_pods_with_one_cause_are_counted() -> None:
    second = ended(1, 3)
    second["metadata"]["name"] = "model-api-2"
    diagnosis = diagnose(Seen(REF, LIVE, pods=(ended(1, 3), second)))
    assert diagnosis.summary.endswith("(3 restarts), in 2 pods.")


def test_a_job_fails_for_good_and_its_log_is_quoted() -> None:
    ref = ObjectRef(api_version="batch/v1", kind="Job", namespace="staging", name="migrate")
    condition: JsonValue = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
    job: dict[str, JsonValue] = {"kind": "Job", "status": {"conditions": [condition]}}
    log = ContainerLog("migrate-1", "run", "start\nValueError: no such table\nbye")
    diagnosis = diagnose(Seen(ref, job, logs=(log,)))
    assert (diagnosis.cause, diagnosis.final) == ("job_failed", True)
    assert [item.text for item in diagnosis.evidence] == ["ValueError: no such table", "bye"]


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ('pods "x" is forbidden: exceeded quota: small', "quota"),
        ('pods "x" is forbidden: violates PodSecurity "restricted"', "bad_configuration"),
    ],
)
def test_pods_that_may_not_be_made_show_why(words: str, cause: Cause) -> None:
    events = (event("FailedCreate", words, "model-api-6c", "ReplicaSet"),)
    diagnosis = diagnose(Seen(REF, LIVE, events=events))
    assert (diagnosis.cause, diagnosis.final) == (cause, False)
    assert diagnosis.evidence[0].text == words


def test_a_pod_without_a_node_is_unschedulable_but_may_yet_get_one() -> None:
    homeless = pod()
    homeless["status"] = {
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/2 nodes are available: 2 Insufficient cpu.",
            }
        ]
    }
    diagnosis = diagnose(Seen(REF, LIVE, pods=(homeless,)))
    assert (diagnosis.cause, diagnosis.final) == ("unschedulable", False)
    assert diagnosis.evidence[0].text == "0/2 nodes are available: 2 Insufficient cpu."


def test_evidence_is_the_clusters_words_then_the_crashed_log_then_events() -> None:
    logs = (
        ContainerLog("model-api-1", "api", "starting"),
        ContainerLog("model-api-1", "api", "loading\nRuntimeError: no model\nexit", previous=True),
    )
    events = (event("BackOff", "Back-off restarting", "model-api-1"),)
    evidence = diagnose(Seen(REF, LIVE, pods=(ended(1, 3),), events=events, logs=logs)).evidence
    assert [(item.kind, item.text) for item in evidence] == [
        ("status", "back-off 10s restarting failed container=api"),
        ("log", "RuntimeError: no model"),
        ("log", "exit"),
        ("log", "starting"),
        ("event", "BackOff: Back-off restarting"),
    ]
    assert evidence[1].source == "Pod/staging/model-api-1/api"


def test_what_has_no_known_sign_is_unknown_with_the_health_rules_words() -> None:
    diagnosis = diagnose(Seen(REF, LIVE, message="1 of 2 replicas are available"))
    assert (diagnosis.cause, diagnosis.final) == ("unknown", False)
    assert diagnosis.evidence[0].text == "1 of 2 replicas are available"


def owned(kind: str, name: str, owner: str, revision: str = "", **labels: str) -> Any:
    return {
        "kind": kind,
        "metadata": {
            "name": name,
            "uid": name,
            "ownerReferences": [{"uid": owner}],
            "annotations": {"deployment.kubernetes.io/revision": revision},
            "labels": labels,
        },
    }


def test_pods_of_an_older_revision_do_not_count() -> None:
    deployment = owned("Deployment", "d", "", "2")
    sets = [owned("ReplicaSet", "old", "d", "1"), owned("ReplicaSet", "new", "d", "2")]
    pods = [owned("Pod", "a", "old"), owned("Pod", "b", "new"), owned("Pod", "c", "stranger")]
    assert current_pods(deployment, sets, pods) == (pods[1],)


def test_a_spec_that_was_not_seen_yet_has_no_pods() -> None:
    deployment = owned("Deployment", "d", "", "1")
    deployment["metadata"]["generation"] = 2
    deployment["status"] = {"observedGeneration": 1}
    sets, pods = [owned("ReplicaSet", "old", "d", "1")], [owned("Pod", "a", "old")]
    assert current_pods(deployment, sets, pods) == ()


def test_a_pod_on_its_way_out_does_not_count() -> None:
    dying = owned("Pod", "a", "s")
    dying["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert current_pods(owned("ReplicaSet", "s", ""), [], [dying]) == ()


def test_stateful_pods_are_told_apart_by_their_revision_label() -> None:
    stateful = owned("StatefulSet", "s", "")
    stateful["status"] = {"updateRevision": "s-2"}
    label = "controller-revision-hash"
    pods = [owned("Pod", "s-0", "s", **{label: "s-1"}), owned("Pod", "s-1", "s", **{label: "s-2"})]
    assert current_pods(stateful, [], pods) == (pods[1],)


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("a\nERROR cannot connect\nshutting down", "ERROR cannot connect"),
        ("Traceback (most recent call last):\n  File x\nKeyError: 'a'\n", "KeyError: 'a'"),
        ("error one\npanic: nil map\nerror two", "panic: nil map"),
        ("just\nlines", "lines"),
        ("\n\n", ""),
    ],
)
def test_the_most_telling_line_is_the_last_of_the_strongest_kind(log: str, line: str) -> None:
    assert most_telling(log) == line


@pytest.mark.parametrize(
    ("raw", "quoted"),
    [
        ("\x1b[31mred\x1b[0m\x07", "red"),
        ("evil\u202etxt\u2066", "eviltxt"),
        ("a\tb\r\nc", "a b c"),
    ],
)
def test_a_quote_is_plain_text(raw: str, quoted: str) -> None:
    assert quote(raw) == quoted


def test_a_quote_holds_no_credential() -> None:
    assert quote("DB_PASSWORD=hunter2 host=db").startswith("DB_PASSWORD=<REDACTED:")
    assert "hunter2" not in quote("postgres://me:hunter2@db/x")


@given(st.text())
def test_a_quote_is_one_bounded_line(raw: str) -> None:
    line = quote(raw * 50)
    assert len(line) <= MAX_QUOTE
    assert len(line.splitlines()) <= 1
