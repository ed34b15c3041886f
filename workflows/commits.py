"""A commit of ours on a branch that others push to as well."""

from collections.abc import Awaitable, Callable

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.git import GitActivities
    from pilothouse.models import names
    from pilothouse.models.steps import CommitRequest, PublishRequest

from workflows import options

MAX_TRIES = 20


async def publish_commit(
    commit: CommitRequest,
    before: Callable[[str], Awaitable[None]] | None = None,
    only_on: str = "",
) -> str:
    """Propose, announce, push; once more on the new head when somebody was quicker.

    The id is in history before the push, so a retry after a crash finds its own commit on the
    branch instead of making another.

    Args:
        commit: what to commit.
        before: told each proposed id before it is pushed.
        only_on: the head that the commit makes sense on; empty: any.

    Returns:
        The id of the commit that is on the branch; empty if the branch has left `only_on`.

    Raises:
        ActivityError: `RevertConflict`, `RepositoryRefused`, `RepositoryUnavailable`.
        ApplicationError: `BranchMoved`, the branch moved under each of twenty tries.
    """
    for _ in range(MAX_TRIES):
        proposed = await options.GIT(
            GitActivities.propose_commit,
            commit,
            summary=f"make a {commit.kind} commit for {commit.branch}",
        )
        if only_on and proposed.base != only_on:
            return ""
        if before is not None:
            await before(proposed.revision)
        if await options.GIT(
            GitActivities.publish_commit,
            PublishRequest(commit=commit, proposed=proposed),
            summary=f"push {names.short(proposed.revision)} to {commit.branch}",
        ):
            return proposed.revision
    raise ApplicationError(
        f"{commit.branch} moved under each of {MAX_TRIES} tries to push to it", type="BranchMoved"
    )
