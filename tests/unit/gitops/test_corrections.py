"""When drift is put back, and when it is left to a person."""

from datetime import UTC, datetime, timedelta

import pytest

from pilothouse.gitops import corrections, ledger
from pilothouse.models.environment import (
    EnvironmentState,
    Hold,
    LockRequest,
    Observation,
    Release,
)
from pilothouse.models.objects import RenderedBundle

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = "sha256:" + "0" * 64
GOOD = Release(
    revision="a" * 40,
    plan=DIGEST,
    outcome="good",
    at=NOW.isoformat(),
    deployment="deployment/x",
    bundle=RenderedBundle(content=DIGEST, digest=DIGEST, objects=3),
)
STATE = EnvironmentState(last_good=GOOD, releases=(GOOD,), current=GOOD.revision)


def seen(*differences: str, correct: bool = True, revision: str = GOOD.revision) -> Observation:
    return Observation(
        at=NOW.isoformat(),
        status="degraded",
        drifted=len(differences),
        revision=revision,
        differences=differences,
        correct=correct,
    )


def looks(state: EnvironmentState, *each: tuple[float, Observation]) -> tuple[int, object]:
    """How often drift was put back, over looks at minutes from now; and the state after."""
    count = 0
    for minutes, look in each:
        state, release = corrections.observe(state, look, NOW + timedelta(minutes=minutes))
        count += release is not None
    return count, state


def test_drift_of_the_last_good_release_is_put_back_and_remembered() -> None:
    state, release = corrections.observe(STATE, seen("x"), NOW)
    assert release == GOOD
    assert [each.differences for each in state.corrections] == [("x",)]
    assert state.observation == seen("x")


@pytest.mark.parametrize(
    "look", [seen(), seen("x", correct=False), seen("x", revision="b" * 40), seen("x", revision="")]
)
def test_nothing_is_put_back_that_did_not_drift_or_is_not_ours_to_put_back(
    look: Observation,
) -> None:
    assert corrections.observe(STATE, look, NOW) == (
        STATE.model_copy(update={"observation": look}),
        None,
    )


@pytest.mark.parametrize(
    "update",
    [
        {"hold": Hold(kind="manual", reason="x", by="lead", since="")},
        {"holder": LockRequest(holder="d", revision="b" * 40)},
        {"queue": (LockRequest(holder="d", revision="b" * 40),)},
        {"current": "b" * 40},
        {"last_good": None},
        {"last_good": GOOD.model_copy(update={"bundle": None})},
        {"correcting_stopped": "it did not last"},
    ],
)
def test_people_and_deployments_come_first(update: dict[str, object]) -> None:
    state = STATE.model_copy(update=update)
    assert corrections.observe(state, seen("x"), NOW)[1] is None


def test_the_same_field_is_put_back_with_growing_pauses_three_times_and_then_left() -> None:
    every = [(minutes / 2, seen("x", "y")) for minutes in range(120)]
    count, state = looks(STATE, *every)
    assert count == corrections.MAX_SAME
    assert isinstance(state, EnvironmentState)
    assert "3 corrections within an hour did not last: x, y" in state.correcting_stopped
    at = [datetime.fromisoformat(each.at) - NOW for each in state.corrections]
    assert at == [timedelta(minutes=each) for each in (0, 1, 3)]


def test_after_an_hour_the_count_begins_anew() -> None:
    assert looks(STATE, *[(each, seen("x")) for each in (0, 30, 61, 92, 153)])[0] == 5


def test_fields_that_keep_changing_do_not_go_on_for_ever_either() -> None:
    count, state = looks(STATE, *[(each, seen(f"field {each}")) for each in range(30)])
    assert count == corrections.MAX_ALTOGETHER
    assert isinstance(state, EnvironmentState) and state.correcting_stopped


def test_a_person_or_a_new_release_lets_it_go_on() -> None:
    _, stopped = looks(STATE, *[(each, seen("x")) for each in range(20)])
    assert isinstance(stopped, EnvironmentState)
    later = NOW + timedelta(minutes=21)
    resumed = ledger.resume(stopped, "lead", "the operator is gone")
    assert corrections.observe(resumed, seen("x"), later)[1] == GOOD
    newer = GOOD.model_copy(update={"revision": "b" * 40})
    assert ledger.record(stopped, newer, lift_rollback_hold=True).correcting_stopped == ""
    assert ledger.record(stopped, GOOD, lift_rollback_hold=True).correcting_stopped
