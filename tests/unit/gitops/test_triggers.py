"""Whose turn it is: every trigger leads to one turn, and a walk always ends."""

from hypothesis import given
from hypothesis import strategies as st

from pilothouse.gitops import triggers
from pilothouse.models.pipeline import Agent, Pipeline

NAMES = ("validator", "tester", "deployer", "monitor", "poet")
TRIGGERS = ("webhook.push", "webhook.pull_request", "manual", "cron.5min", "status.validated")
PIPELINES = st.dictionaries(
    st.sampled_from(NAMES),
    st.lists(st.sampled_from(TRIGGERS), min_size=1, max_size=3).map(
        lambda chosen: Agent(trigger=tuple(chosen))
    ),
    min_size=1,
).map(lambda agents: Pipeline(agents=agents))


def test_a_push_also_opens_what_a_pull_request_opens_and_never_the_other_way() -> None:
    assert triggers.opening_events("push") == {"webhook.push", "webhook.pull_request"}
    assert triggers.opening_events("pull-7") == {"webhook.pull_request"}
    assert triggers.opening_events("manual") == {"webhook.push", "webhook.pull_request", "manual"}


def test_a_run_walks_from_the_opening_to_what_each_stage_emits() -> None:
    agents = {
        "deployer": Agent(trigger="status.tests_passed"),
        "validator": Agent(trigger="webhook.pull_request"),
        "tester": Agent(trigger="status.validated"),
    }
    pipeline = Pipeline(agents=agents)
    opened = triggers.opening_events("push")
    assert triggers.ready(pipeline, opened, ()) == ("validator",)
    emitted = opened | {"status.validated"}
    assert triggers.ready(pipeline, emitted, {"validator"}) == ("tester",)
    assert triggers.ready(pipeline, emitted, {"validator", "tester"}) == ()


def test_turns_come_in_the_order_of_the_file() -> None:
    agents = {name: Agent(trigger="manual") for name in ("b", "c", "a")}
    assert triggers.ready(Pipeline(agents=agents), {"manual"}, ()) == ("b", "c", "a")


def test_a_monitor_looks_after_every_deployment_whatever_triggers_it() -> None:
    agents = {
        "monitor": Agent(trigger="cron.5min"),
        "watch": Agent(trigger="manual", role="monitor"),
        "poet": Agent(trigger="cron.5min"),
    }
    pipeline = Pipeline(agents=agents)
    assert triggers.ready(pipeline, {"status.deployed"}, ()) == ("monitor", "watch")


def test_each_role_ends_with_its_own_events_the_good_one_first() -> None:
    agents = {
        "validator": Agent(trigger="manual", emits=("ignored",)),
        "checks": Agent(trigger="manual", role="tester"),
        "deployer": Agent(trigger="manual"),
        "monitor": Agent(trigger="manual"),
        "licence-reviewer": Agent(trigger="manual"),
        "poet": Agent(trigger="manual", emits=("sung", "silent")),
        "tester": Agent(trigger="manual", role="external"),
        "scanner": Agent(trigger="manual", role="external"),
        "auditor": Agent(trigger="manual", role="external", emits=("audited",)),
    }
    pipeline = Pipeline(agents=agents)
    assert {name: triggers.emitted_events(pipeline, name) for name in agents} == {
        "validator": ("validated", "rejected"),
        "checks": ("tests_passed", "tests_failed"),
        "deployer": ("deployed", "rolled_back", "deploy_failed"),
        "monitor": ("healthy", "degraded"),
        "licence-reviewer": ("licence_reviewer_passed", "licence_reviewer_failed"),
        "poet": ("sung", "silent"),
        "tester": ("tests_passed", "tests_failed"),
        "scanner": ("scanner_passed", "scanner_failed"),
        "auditor": ("audited",),
    }


def test_schedules_come_from_monitors_only() -> None:
    agents = {
        "monitor": Agent(trigger=("cron.5min", "manual", "cron.1h")),
        "poet": Agent(trigger="cron.1d"),
    }
    assert triggers.cron_triggers(Pipeline(agents=agents)) == ("cron.5min", "cron.1h")


@given(PIPELINES, st.sets(st.sampled_from((*TRIGGERS, "status.deployed"))))
def test_every_agent_has_at_most_one_turn_and_the_walk_ends(
    pipeline: Pipeline, emitted: set[str]
) -> None:
    done: list[str] = []
    while turn := triggers.ready(pipeline, emitted, done):
        assert not set(turn) & set(done)
        done.append(turn[0])
    assert sorted(done) == sorted(set(done))
    assert triggers.ready(pipeline, emitted, done) == ()


@given(PIPELINES)
def test_a_pull_request_opens_no_agent_that_waits_for_a_push_or_a_person(
    pipeline: Pipeline,
) -> None:
    for name in triggers.ready(pipeline, triggers.opening_events("pull-7"), ()):
        assert "webhook.pull_request" in pipeline.agents[name].triggers
