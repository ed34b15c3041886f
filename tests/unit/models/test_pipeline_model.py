"""The pipeline file's own rules: promotions, triggers, durations, paths."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pilothouse.models.pipeline import Agent, Environment, Pipeline, Status, duration

AGENT = Agent(trigger="manual")


def pipeline(after: dict[str, str | None]) -> Pipeline:
    environments = {
        name: Environment(namespace="app", after=previous) for name, previous in after.items()
    }
    return Pipeline(agents={"deployer": AGENT}, environments=environments)


@st.composite
def promotions(draw: st.DrawFn) -> dict[str, str | None]:
    """Environments in any order, each after none or after one that was drawn before it."""
    names = [f"e{number}" for number in range(draw(st.integers(0, 7)))]
    after: dict[str, str | None] = {}
    for index, name in enumerate(names):
        after[name] = draw(st.sampled_from([None, *names[:index]]))
    order = draw(st.permutations(names))
    return {name: after[name] for name in order}


@given(promotions())
def test_each_environment_comes_once_and_after_the_one_it_follows(
    after: dict[str, str | None],
) -> None:
    order = pipeline(after).promotion_order()
    assert sorted(order) == sorted(after)
    for name, previous in after.items():
        assert previous is None or order.index(previous) < order.index(name)


@given(st.lists(st.sampled_from([None, "e0", "e1", "e2", "e3"]), min_size=4, max_size=4))
def test_promotions_that_never_end_are_refused_and_no_others(links: list[str | None]) -> None:
    after = {f"e{number}": link for number, link in enumerate(links)}
    if any(leads_back(name, after) for name in after):
        with pytest.raises(ValidationError, match="leads back to itself"):
            pipeline(after)
    else:
        assert len(pipeline(after).promotion_order()) == 4


def leads_back(name: str, after: dict[str, str | None]) -> bool:
    at: str | None = name
    for _ in after:
        at = after[at] if at is not None else None
    return at is not None


def test_a_promotion_after_an_unknown_environment_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match=r"environments\.a\.after names 'b', which does not"):
        pipeline({"a": "b"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30s", 30), ("5m", 300), ("5min", 300), ("4h", 14400), ("7d", 604800), ("005m", 300)],
)
def test_durations_are_read(text: str, expected: int) -> None:
    assert duration(text) == timedelta(seconds=expected)


@pytest.mark.parametrize(
    "text",
    ["", "5", "m", "0s", "00m", "-5m", "5 m", "5m\n", "1.5h", "5M", "\u0665m", "9" * 20 + "d"],
)
def test_what_is_no_duration_is_a_value_error_and_nothing_worse(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as"):
        duration(text)
    with pytest.raises(ValidationError):
        Environment(namespace="a", health_timeout=text)


@pytest.mark.parametrize(
    "trigger",
    [
        "webhook.push",
        "webhook.pull_request",
        "status.tests_passed",
        "manual",
        "cron.5min",
        "cron.*/5 * * * *",
    ],
)
def test_known_triggers_are_taken(trigger: str) -> None:
    assert Agent(trigger=trigger).triggers == (trigger,)


@pytest.mark.parametrize(
    "trigger",
    ["", "push", "webhook.merge", "status.", "cron.", "cron.0s", "cron.5", "cron.* *", "manual\n"],
)
def test_an_unknown_trigger_is_refused_with_those_that_exist(trigger: str) -> None:
    with pytest.raises(ValidationError, match=r"is not a trigger: use webhook\.push"):
        Agent(trigger=trigger)
    with pytest.raises(ValidationError, match="is not a trigger"):
        Agent(trigger=("manual", trigger))


@given(st.from_regex(r"cron\.[0-9]{1,7}(s|m|min|h|d)", fullmatch=True))
def test_an_interval_that_is_taken_can_be_scheduled(trigger: str) -> None:
    try:
        agent = Agent(trigger=trigger)
    except ValidationError:
        return
    assert duration(agent.triggers[0].removeprefix("cron.")) > timedelta()


@pytest.mark.parametrize("path", ["", "/etc", "..", "a/../b", "a\\b"])
def test_a_path_that_could_leave_the_repository_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        Pipeline(agents={"a": AGENT}, manifests=path)
    with pytest.raises(ValidationError):
        Environment(namespace="a", configs=path)


@pytest.mark.parametrize("branch", ["", "a..b", "-x", "a.lock", "a b"])
def test_a_status_branch_that_git_would_refuse_is_refused(branch: str) -> None:
    with pytest.raises(ValidationError):
        Status(branch=branch)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a b", "a.b", "a/b", "a" * 64, "a\n"])
def test_names_that_could_be_anything_else_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Pipeline(agents={name: AGENT})
    with pytest.raises(ValidationError):
        Pipeline(agents={"a": AGENT}, environments={name: Environment(namespace="a")})


def test_an_unknown_key_is_refused_at_every_level() -> None:
    with pytest.raises(ValidationError, match="triger"):
        Agent.model_validate({"trigger": "manual", "triger": "x"})
    with pytest.raises(ValidationError, match="namspace"):
        Environment.model_validate({"namespace": "a", "namspace": "b"})


def test_a_role_is_declared_or_comes_with_the_name_or_is_general() -> None:
    agents = {
        "tester": AGENT,
        "deployer": Agent(trigger="manual", role="validator"),
        "poet": AGENT,
    }
    roles = Pipeline(agents=agents)
    assert [roles.role_of(name) for name in agents] == ["tester", "validator", "general"]
