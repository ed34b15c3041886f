"""Which revision may follow which: promotion, no step backwards, giving way to a newer one."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.git import GitActivities
    from activities.ledgers import LedgerActivities
    from pilothouse.models.environment import LockAnswer, LockProbe
    from pilothouse.models.names import short
    from pilothouse.models.runs import DeploymentRequest
    from pilothouse.models.steps import LedgerRequest, OrderRequest

from workflows import options
from workflows.deploying.ending import Ended

Answer = TypeVar("Answer")


async def stop_if_not_promoted(request: DeploymentRequest, after: str | None) -> None:
    """An environment that follows another takes only what is good there, at this very revision.

    Raises:
        Ended: `blocked`.
        ActivityError: the other environment's ledger cannot be read.
    """
    if after is None or request.restores or request.force:
        return
    entry = await options.WORKSPACE(
        LedgerActivities.read_release,
        LedgerRequest(repository=request.repository, environment=after, revision=request.revision),
        summary=f"read how {short(request.revision)} did in {after}",
    )
    release = entry.release
    if release is None or release.outcome != "good":
        how = "has not taken it" if release is None else f"calls it bad: {release.reason}"
        revision, environment = short(request.revision), request.environment
        raise Ended("blocked", f"{environment} follows {after}, which {how} ({revision})")


async def stop_if_overtaken(request: DeploymentRequest, lease: LockAnswer) -> None:
    """Under the lock, where nothing changes any more: never go back by accident.

    Raises:
        Ended: `superseded`, what was written last contains this revision; or a correction's
            release is not what is deployed any more.
        ActivityError: Git does not answer.
    """
    last_good = lease.last_good.revision if lease.last_good is not None else ""
    there = lease.current or last_good
    if request.rollback or there in {"", request.revision}:
        return
    if request.correction:
        raise Ended("superseded", f"{short(there)} was deployed meanwhile: nothing to put back")
    if await _is_older(request, there):
        raise Ended(
            "superseded",
            f"{short(there)}, which was deployed here, is newer than {short(request.revision)}; "
            "to go back, use `pilothouse rollback`",
        )


class Successors:
    """The revisions that wait for the environment while a deployment holds its lock."""

    def __init__(self, request: DeploymentRequest) -> None:
        self._request = request
        self._seen = {request.revision}
        self._unjudged: list[str] = []

    def told(self, probe: LockProbe) -> None:
        """Keep who waits; each revision is compared once."""
        fresh = [revision for revision in probe.waiting if revision not in self._seen]
        self._seen.update(fresh)
        self._unjudged += fresh

    async def give_way(self, work: Coroutine[None, None, Answer]) -> Answer:
        """Do the work unless a newer revision waits, or comes to wait; it is cancelled then.

        Nothing of ours gives way to what only was pushed: that may never get so far as to ask for
        the lock. A rollback does not give way: it puts back what works, and ends soon.

        Raises:
            Ended: `superseded`.
        """
        working = asyncio.create_task(work)
        newer = asyncio.create_task(self._newer())
        try:
            await workflow.wait([working, newer], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise Ended("superseded", f"{short(newer.result())} is newer and waits: it goes on")
        finally:
            newer.cancel()
            working.cancel()
            with suppress(asyncio.CancelledError, ActivityError):
                await working

    async def _newer(self) -> str:
        while True:
            await workflow.wait_condition(
                lambda: bool(self._unjudged) and not self._request.rollback
            )
            revision = self._unjudged.pop(0)
            try:
                if await _is_older(self._request, revision):
                    return revision
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                workflow.logger.warning("a Git server that is away makes nothing newer")


async def _is_older(request: DeploymentRequest, than: str) -> bool:
    order = await options.GIT_LOOK(
        GitActivities.compare_revisions,
        OrderRequest(repository=request.repository, revision=request.revision, than=than),
        summary=f"is {short(request.revision)} older than {short(than)}",
    )
    return order.older
