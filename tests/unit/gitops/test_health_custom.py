"""How a custom resource is judged: each rule, with an object that only it decides."""

from typing import Any

import pytest

from pilothouse.gitops.health import assess
from pilothouse.models.health import HealthStatus


def says(kind: str, status: str, reason: str = "", message: str = "", **more: Any) -> Any:
    return {"type": kind, "status": status, "reason": reason, "message": message, **more}


def judged(status: Any, spec: Any = None, kind: str = "Widget", **metadata: Any) -> HealthStatus:
    live = {
        "apiVersion": "example.com/v1",
        "kind": kind,
        "metadata": {"name": "it", "generation": 2, **metadata},
        "spec": spec or {},
        "status": status,
    }
    return assess(live).status


def reports(*conditions: Any, **status: Any) -> dict[str, Any]:
    return {"conditions": list(conditions), **status}


def test_nothing_reported_is_no_good_news() -> None:
    assert judged({}) == "Progressing"
    assert judged({"conditions": []}) == "Progressing"


@pytest.mark.parametrize("kind", ["CronSweep", "ScheduledSweep", "SweepSchedule"])
def test_a_schedule_works_by_existing(kind: str) -> None:
    assert judged({}, kind=kind) == "Healthy"
    assert judged({"state": "Scheduled"}, kind=kind) == "Healthy"
    assert judged({"state": "FailedValidation"}, kind=kind) == "Degraded"


@pytest.mark.parametrize("flag", ["suspend", "suspended", "paused", "pause", "hibernated"])
def test_what_its_spec_rests_is_suspended_even_before_the_controller_saw_it(flag: str) -> None:
    old = reports(says("Ready", "True"), observedGeneration=1)
    assert judged(old, {flag: True}) == "Suspended"
    assert judged(old, {flag: False}) == "Progressing"


def test_news_about_an_older_spec_are_no_news() -> None:
    assert judged(reports(says("Ready", "True"), observedGeneration=1)) == "Progressing"
    assert judged(reports(says("Ready", "True", observedGeneration=1))) == "Progressing"
    assert judged(reports(says("Ready", "True", observedGeneration=2))) == "Healthy"


def test_a_failure_that_is_about_this_spec_counts_before_the_spec_was_seen_to_the_end() -> None:
    failed = says("Ready", "False", "ArtifactFailed", observedGeneration=2)
    assert judged(reports(failed, observedGeneration=-1)) == "Degraded"
    stale = says("Ready", "False", "ArtifactFailed", observedGeneration=1)
    assert judged(reports(stale, observedGeneration=1)) == "Progressing"


@pytest.mark.parametrize(
    "kind",
    ["Stalled", "Degraded", "SyncError", "InstallFailed", "FailedScale", "HasErrors",
     "InvalidSpec", "QuotaExceeded", "example.com/Conflicted", "BackendUnreachable"],
)  # fmt: skip
def test_a_type_that_names_a_failure_is_bad_news_when_true_and_none_when_false(kind: str) -> None:
    assert judged(reports(says("Ready", "True"), says(kind, "True"))) == "Degraded"
    assert judged(reports(says("Ready", "True"), says(kind, "False"))) == "Healthy"
    assert judged(reports(says(kind, "False"))) == "Healthy"


def test_a_negated_type_is_read_the_other_way_round() -> None:
    assert judged(reports(says("NotReady", "True", "Creating"))) == "Progressing"
    assert judged(reports(says("NotReady", "True", "ConfigInvalid"))) == "Degraded"
    assert judged(reports(says("NotReady", "False"))) == "Healthy"


@pytest.mark.parametrize("kind", ["Reconciling", "Issuing", "RolloutProgressing", "UpgradePending"])
def test_what_goes_on_spoils_good_news(kind: str) -> None:
    assert judged(reports(says("Ready", "True"), says(kind, "True"))) == "Progressing"
    assert judged(reports(says("Ready", "True"), says(kind, "False"))) == "Healthy"


def test_an_activity_tells_by_its_reason_how_it_ended() -> None:
    good = says("Available", "True")
    ended = says("Progressing", "True", "NewReplicaSetAvailable")
    assert judged(reports(good, ended)) == "Healthy"
    aborted = says("Progressing", "False", "RolloutAborted")
    assert judged(reports(good, aborted)) == "Degraded"
    paused = says("Progressing", "Unknown", "RolloutPaused")
    assert judged(reports(good, paused)) == "Suspended"


def test_pausing_on_purpose_is_no_trouble() -> None:
    paused = says("Paused", "True")
    assert judged(reports(says("Ready", "True"), paused)) == "Suspended"
    assert judged(reports(says("Ready", "False", "Pending"), paused)) == "Suspended"
    assert judged(reports(says("Ready", "False", "SyncFailed"), paused)) == "Degraded"


@pytest.mark.parametrize(
    ("reason", "message", "expected"),
    [
        ("", "", "Progressing"),
        ("Provisioning", "", "Progressing"),
        ("NotProvisioned", "", "Progressing"),
        ("WaitingForInfrastructure", "", "Progressing"),
        ("DependencyNotFound", "", "Degraded"),
        ("AccessDenied", "", "Degraded"),
        ("Applying", "execute: syntax error at line 3", "Degraded"),
        ("Whatever", "secret api-key not found", "Degraded"),
        ("Whatever", "waiting for the address", "Progressing"),
        ("Whatever", "it is what it is", "Degraded"),
    ],
)
def test_a_promise_not_kept_is_broken_or_not_kept_yet_by_its_words(
    reason: str, message: str, expected: HealthStatus
) -> None:
    assert judged(reports(says("Ready", "False", reason, message))) == expected


def test_a_severity_is_stronger_than_words() -> None:
    info = says("Ready", "False", "ScaleFailed", severity="Info")
    assert judged(reports(info)) == "Progressing"
    error = says("Ready", "False", "Scaling", severity="Error")
    assert judged(reports(error)) == "Degraded"


def test_unknown_is_not_yet_a_failure() -> None:
    assert judged(reports(says("Ready", "Unknown", "SyncFailed"))) == "Progressing"


def test_a_status_against_the_conventions_is_read_as_a_word() -> None:
    assert judged(reports(says("Available", "Degraded"))) == "Degraded"
    assert judged(reports(says("Available", "Flummoxed"))) == "Degraded"


def test_an_end_that_its_reason_calls_a_failure_is_one() -> None:
    assert judged(reports(says("Complete", "True", "JobFailed"))) == "Degraded"
    assert judged(reports(says("Complete", "True", "JobComplete"))) == "Healthy"


def test_every_summary_must_be_kept() -> None:
    good, bad = says("Ready", "True"), says("Synced", "False", "ReconcileError")
    assert judged(reports(good, bad)) == "Degraded"


def test_parts_count_where_no_ready_vouches_for_them() -> None:
    parts = says("DatabaseReady", "True"), says("IngressReady", "False", "Pending")
    assert judged(reports(*parts)) == "Progressing"
    assert judged(reports(says("Ready", "True"), *parts)) == "Healthy"
    assert judged(reports(says("Available", "True"), *parts)) == "Progressing"


def test_the_last_condition_of_a_type_counts() -> None:
    assert judged(reports(says("Ready", "False"), says("Ready", "True"))) == "Healthy"


def test_conditions_that_nobody_can_read_are_unknown() -> None:
    assert judged(reports(says("Frobnicated", "True"))) == "Unknown"


@pytest.mark.parametrize("status", ["True", "False"])
def test_a_type_that_nobody_can_read_still_complains_by_its_reason(status: str) -> None:
    odd = says("Frobs", status, "FrobFailed")
    assert judged(reports(says("Available", "True"), odd)) == "Degraded"
    assert judged(reports(says("Ready", "True"), odd)) == "Healthy"


@pytest.mark.parametrize("parts", ["parents", "listeners", "ancestors"])
def test_one_of_several_controllers_that_refuses_is_enough(parts: str) -> None:
    good = {"conditions": [says("Accepted", "True")]}
    bad = {"conditions": [says("Accepted", "False", "NotAllowedByListeners")]}
    assert judged({parts: [good, good]}) == "Healthy"
    assert judged({parts: [good, bad]}) == "Degraded"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("Bound", "Healthy"),
        ("RUNNING", "Healthy"),
        ("in-progress", "Progressing"),
        ("MigratingData", "Progressing"),
        ("waiting for the first pod", "Progressing"),
        ("RolesMaxLimitReached", "Degraded"),
        ("FailedNotVisible", "Degraded"),
        ("Pool decommissioning not allowed", "Degraded"),
        ("Paused", "Suspended"),
        ("NotFound", "Missing"),
        ("Unknown", "Unknown"),
        ("Flummoxed", "Unknown"),
    ],
)
@pytest.mark.parametrize("field", ["phase", "currentState", "clusterStatus", "health"])
def test_a_phase_is_read_wherever_it_stands(field: str, word: str, expected: HealthStatus) -> None:
    assert judged({field: word}) == expected
    assert judged({field: {"state": word}}) == expected


def test_what_was_or_shall_be_is_not_what_is() -> None:
    assert judged({"phase": "Ready", "lastRunStatus": "Failed"}) == "Healthy"
    assert judged({"phase": "Ready", "desiredState": "Stopped"}) == "Healthy"


def test_the_worse_of_phase_and_conditions_counts() -> None:
    assert judged(reports(says("Ready", "True"), phase="Failed")) == "Degraded"
    assert judged(reports(says("Ready", "False", "Pending"), phase="Running")) == "Progressing"
    assert judged(reports(says("Ready", "True"), phase="Flummoxed")) == "Healthy"


@pytest.mark.parametrize("kind", ["TestRun", "SweepJob", "Backup"])
def test_what_is_meant_to_end_is_not_done_while_it_runs(kind: str) -> None:
    assert judged({"phase": "Running"}, kind=kind) == "Progressing"
    assert judged(reports(says("Running", "True")), kind=kind) == "Progressing"
    assert judged({"phase": "Completed"}, kind=kind) == "Healthy"
    done = reports(says("PodRunning", "False"), says("Succeeded", "True"))
    assert judged(done, kind=kind) == "Healthy"


@pytest.mark.parametrize("field", ["error", "errorMessage", "failureReason", "failureMessage"])
def test_an_error_that_is_spelled_out_is_one(field: str) -> None:
    assert judged({"ready": False, field: "boom"}) == "Degraded"
    assert judged({"ready": False, field: ""}) == "Progressing"
    assert judged(reports(says("Ready", "False", "Pending"), **{field: "boom"})) == "Degraded"


def test_a_flag_counts_where_there_is_nothing_better() -> None:
    assert judged({"ready": True}) == "Healthy"
    assert judged({"ready": False}) == "Progressing"
    assert judged({"valid": False}) == "Degraded"
    assert judged({"phase": "Failed", "ready": True}) == "Degraded"


def test_replicas_are_counted() -> None:
    assert judged({"readyReplicas": 1}, {"replicas": 3}) == "Progressing"
    assert judged({"readyReplicas": 3}, {"replicas": 3}) == "Healthy"
    assert judged({"phase": "Running", "readyReplicas": 1}, {"replicas": 3}) == "Progressing"
    assert judged({"numberAvailable": 1, "desiredNumberScheduled": 2}) == "Progressing"


def test_a_family_that_no_controller_reports_on_works_by_existing() -> None:
    rule: dict[str, Any] = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {},
    }
    assert assess(rule).status == "Healthy"
    server = rule | {"kind": "Prometheus"}
    assert assess(server).status == "Progressing"


def test_the_message_says_what_the_controller_says() -> None:
    live: dict[str, Any] = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "it"},
        "status": reports(says("Ready", "False", "Denied", "the webhook denied it")),
    }
    assert assess(live).message == "the webhook denied it"
