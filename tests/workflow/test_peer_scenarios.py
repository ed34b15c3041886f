"""Scenarios that users of other tools complain about, by their number, on a real server."""

import asyncio
from collections.abc import Callable

import pytest
from temporalio.client import Client

from activities.ledgers import LedgerActivities
from pilothouse.models import names
from pilothouse.models.runs import RollbackRequest, RollbackResult
from tests.workflow.driving import bad_push, deploy, environment_of, free, ledger, phase, start
from tests.workflow.world import World, until

Rev = Callable[[str], str]
MAIN = "refs/heads/main"


async def test_s11_a_newer_commit_during_a_rollback_is_deployed_after_it(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.history = [rev("good"), rev("bad"), rev("fix")]
    await deploy(client, workers, rev("good"))
    workers.heads[MAIN] = rev("bad")
    workers.broken.add(rev("bad"))
    failing = await start(client, workers, rev("bad"))
    workers.slow.add(rev("good"))  # the rollback's own wait
    await phase(failing, "rollback")
    workers.heads[MAIN] = rev("fix")
    fix = await start(client, workers, rev("fix"))
    await phase(fix, "lock")
    workers.slow.clear()
    assert (await failing.result()).outcome == "rolled_back"
    assert (await fix.result()).outcome == "deployed"
    assert workers.applied[-2].plan == workers.applied[0].plan
    assert workers.applied[-1].revision == rev("fix")
    state = await free(client, workers)
    assert (state.hold, state.last_good.revision) == (None, rev("fix"))


async def test_s12_a_known_bad_revision_offered_again_is_refused_under_any_commit_id(
    client: Client, workers: World, rev: Rev
) -> None:
    await deploy(client, workers, rev("good"))
    await bad_push(client, workers, rev("bad"))
    workers.contents[rev("again")] = rev("bad")
    for offered in ("bad", "again"):
        refused = await deploy(client, workers, rev(offered))
        assert refused.outcome == "on_hold"
        assert "is known to be bad here" in refused.message
        assert "restarted 3 times" in refused.message
    assert [each.revision for each in workers.applied].count(rev("bad")) == 1


async def test_s12_a_person_can_force_a_known_bad_revision_and_is_remembered(
    client: Client, workers: World, rev: Rev
) -> None:
    await deploy(client, workers, rev("good"))
    await bad_push(client, workers, rev("bad"))
    anonymous = await deploy(client, workers, rev("bad"), force=True)
    assert anonymous.outcome == "blocked"
    assert '"by" and "why"' in anonymous.message
    workers.broken.clear()
    forced = await deploy(
        client, workers, rev("bad"), force=True, by="lead", why="the registry was away"
    )
    assert forced.outcome == "deployed"
    state = await free(client, workers)
    assert state.last_good.forced == "lead: the registry was away"
    assert any("forced by lead: the registry was away" in each for each in state.notices)


async def test_s12_force_passes_neither_a_hold_nor_a_freeze(
    client: Client, workers: World, rev: Rev
) -> None:
    await deploy(client, workers, rev("a"))
    await environment_of(client, workers).signal(
        names.SIGNAL_HOLD, {"by": "lead", "reason": "audit week"}
    )
    forced = await deploy(client, workers, rev("b"), force=True, by="dev", why="urgent")
    assert (forced.outcome, "audit week" in forced.message) == ("on_hold", True)


async def test_s14_a_fix_that_is_ready_ends_the_wait_of_a_broken_release(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.history = [rev("good"), rev("slow"), rev("fix")]
    await deploy(client, workers, rev("good"))
    workers.slow.add(rev("slow"))
    waiting = await start(client, workers, rev("slow"))
    await phase(waiting, "health")
    assert (await deploy(client, workers, rev("fix"))).outcome == "deployed"
    interrupted = await waiting.result()
    assert interrupted.outcome == "superseded"
    assert "newer and waits" in interrupted.message
    state = await free(client, workers)
    # The ledger knows nothing of the one whose end nobody saw, and nothing was reverted.
    assert [each.revision for each in state.releases] == [rev("good"), rev("fix")]
    assert workers.published == []
    assert state.hold is None


async def test_s14_a_push_that_is_not_ready_to_deploy_interrupts_nothing(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.history = [rev("slow"), rev("pushed")]
    workers.slow.add(rev("slow"))
    waiting = await start(client, workers, rev("slow"))
    await phase(waiting, "health")
    await waiting.signal(names.SIGNAL_SUPERSEDE, {"by": rev("pushed")})

    async def noticed() -> bool:
        notices = (await waiting.query(names.QUERY_STATE))["notices"]
        return any("once a newer revision is ready" in each for each in notices)

    await until(noticed)
    workers.slow.clear()
    assert (await waiting.result()).outcome == "deployed"


async def test_s14_the_apply_itself_is_never_interrupted(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.history = [rev("first"), rev("fix")]
    workers.writing = asyncio.Event()
    workers.slow.add(rev("first"))
    first = await start(client, workers, rev("first"))
    await phase(first, "applying")
    fix = await start(client, workers, rev("fix"))
    await phase(fix, "lock")
    workers.writing.set()
    assert (await first.result()).outcome == "superseded"
    assert (await fix.result()).outcome == "deployed"
    assert [each.revision for each in workers.applied] == [rev("first"), rev("fix")]


async def test_s14_an_older_revision_that_waits_interrupts_nothing_and_is_refused(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.history = [rev("old"), rev("new")]
    workers.slow.add(rev("new"))
    new = await start(client, workers, rev("new"))
    await phase(new, "health")
    old = await start(client, workers, rev("old"))
    await phase(old, "lock")

    async def compared() -> bool:
        return "compare_revisions" in workers.calls

    await until(compared)
    workers.slow.clear()
    assert (await new.result()).outcome == "deployed"
    assert (await old.result()).outcome == "superseded"


async def test_s15_production_takes_only_what_is_good_in_staging_at_this_revision(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.ledgers = LedgerActivities(client=client)
    workers.unchanged = True
    never = await deploy(client, workers, rev("a"), "production")
    assert (never.outcome, "staging, which has not taken it" in never.message) == ("blocked", True)
    await deploy(client, workers, rev("a"))
    assert (await deploy(client, workers, rev("a"), "production")).outcome == "deployed"
    older = await deploy(client, workers, rev("b"), "production")
    assert older.outcome == "blocked"
    assert {each.revision for each in workers.applied} == {rev("a")}


async def test_s15_what_was_rolled_back_in_staging_while_a_person_thought_stays_out(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.ledgers = LedgerActivities(client=client)
    for word in ("a", "b"):
        await deploy(client, workers, rev(word))
    workers.heads[MAIN] = rev("b")
    asked = await start(client, workers, rev("b"), "production")
    await phase(asked, "approval")
    await _roll_back(client, workers, "slow")
    plan = (await asked.query(names.QUERY_STATE))["result"]["plan"]["digest"]
    await asked.signal(names.SIGNAL_APPROVE, {"by": "lead", "plan": plan})
    result = await asked.result()
    assert (result.outcome, "calls it bad: slow" in result.message) == ("blocked", True)


async def test_s17_a_second_failure_is_rolled_back_and_freezes(
    client: Client, workers: World, rev: Rev
) -> None:
    await deploy(client, workers, rev("good"))
    first = await bad_push(client, workers, rev("bad"))
    assert first.outcome == "rolled_back"
    assert (await free(client, workers)).hold.kind == "rollback"
    second = await bad_push(client, workers, rev("worse"))
    assert second.outcome == "rolled_back"
    assert "frozen until a person resumes" in second.message
    assert workers.applied[-1].plan == workers.applied[0].plan
    hold = (await free(client, workers)).hold
    assert (hold.kind, hold.bad_revision) == ("frozen", rev("worse"))
    third = await deploy(client, workers, rev("third"))
    assert (third.outcome, "frozen" in third.message) == ("on_hold", True)
    await environment_of(client, workers).signal(
        names.SIGNAL_RESUME, {"by": "lead", "reason": "found it"}
    )
    assert (await deploy(client, workers, rev("third"))).outcome == "deployed"


async def test_s17_a_rollback_is_never_rolled_back(
    client: Client, workers: World, rev: Rev
) -> None:
    for word in ("one", "two"):
        await deploy(client, workers, rev(word))
    workers.broken |= {rev("one"), rev("two")}
    result = await bad_push(client, workers, rev("bad"))
    assert result.outcome == "failed"
    assert len([each for each in workers.published if each.commit.kind == "revert"]) == 1
    assert workers.applied[-1].plan == workers.applied[1].plan
    assert (await free(client, workers)).hold.kind == "frozen"


async def test_s17_where_people_roll_back_a_second_failure_freezes_too(
    client: Client, workers: World, rev: Rev
) -> None:
    staging = workers.pipeline.environments["staging"]
    workers.pipeline.environments["staging"] = staging.model_copy(update={"rollback": "manual"})
    await deploy(client, workers, rev("good"))
    await bad_push(client, workers, rev("bad"))
    assert (await free(client, workers)).hold.kind == "rollback"
    await bad_push(client, workers, rev("worse"))
    assert (await free(client, workers)).hold.kind == "frozen"
    assert workers.published == []


async def test_s17_a_rollback_deploys_the_last_good_plan_as_it_was_stored(
    client: Client, workers: World, rev: Rev
) -> None:
    await deploy(client, workers, rev("good"))
    good = workers.applied[0]
    # What the good revision renders to has changed since: a tag moved, say.
    workers.contents[rev("good")] = "something else"
    result = await bad_push(client, workers, rev("bad"))
    assert result.outcome == "rolled_back"
    assert "deployed as it was stored" in result.message
    assert (workers.applied[-1].plan, workers.applied[-1].content) == (good.plan, good.content)


@pytest.mark.parametrize("force", [False, True])
async def test_s21_an_older_revision_never_overtakes_a_newer_one(
    client: Client, workers: World, rev: Rev, force: bool
) -> None:
    workers.history = [rev("old"), rev("new")]
    await deploy(client, workers, rev("new"))
    late = await deploy(client, workers, rev("old"), force=force, by="dev", why="why not")
    assert late.outcome == "superseded"
    assert "pilothouse rollback" in late.message
    assert [each.revision for each in workers.applied] == [rev("new")]


async def test_s21_what_was_written_counts_though_nobody_saw_its_end(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.history = [rev("old"), rev("new")]
    workers.slow.add(rev("new"))
    new = await start(client, workers, rev("new"))
    await phase(new, "health")
    await new.terminate("the operator was impatient")
    assert (await deploy(client, workers, rev("old"))).outcome == "superseded"
    assert (await ledger(client, workers)).current == rev("new")


async def test_s21_going_back_is_possible_as_a_rollback(
    client: Client, workers: World, rev: Rev
) -> None:
    workers.history = [rev("old"), rev("new")]
    for word in ("old", "new"):
        await deploy(client, workers, rev(word))
    workers.heads[MAIN] = rev("old")  # somebody forced the branch back
    assert (await deploy(client, workers, rev("old"))).outcome == "superseded"
    result = await _roll_back(client, workers, "forced back", bad_revision=rev("new"))
    assert (result.outcome, result.to_revision) == ("rolled_back", rev("old"))
    assert (await free(client, workers)).current == rev("old")


async def _roll_back(client: Client, world: World, why: str, **fields: str) -> RollbackResult:
    result: RollbackResult = await client.execute_workflow(
        names.ROLLBACK_WORKFLOW,
        RollbackRequest.model_validate({
            "repository": world.repository,
            "environment": "staging",
            "reason": why,
            **fields,
        }),
        id=names.rollback_id(world.repository.slug, "staging", "by-hand"),
        task_queue=names.WORKFLOW_QUEUE,
        result_type=RollbackResult,
    )
    return result
