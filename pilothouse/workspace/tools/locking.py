"""acquire_lock, release_lock, lock_status: leases of the environment's own lock, or of a path's."""

import asyncio
from typing import Annotated, Final

from pydantic import Field

from pilothouse.models import names
from pilothouse.models.base import Contract
from pilothouse.models.workspace import LEASE_SECONDS, LeaseRequest, LeaseState
from pilothouse.workspace.gate import caller, note
from pilothouse.workspace.paths import writable_path
from pilothouse.workspace.snapshots import Snapshots
from pilothouse.workspace.workflows import Requests

ENVIRONMENT_LOCK: Final = "status/deployment.lock"
"""The path that means the lock of the key's environment: the one that deployments take."""
LeaseSeconds = Annotated[int, Field(ge=5, le=3600)]


class LockAnswer(Contract):
    """How a lock stands, for this key."""

    path: str
    held: bool
    """Whether this key holds it now."""
    phase: str
    """`held`, `waiting` in the queue, `refused`, `ended`, or `free`: this key asks for nothing."""
    fencing: int = 0
    """Rises with each holder: a writer with a lower number is refused by the cluster."""
    expires_at: str = ""
    """ISO 8601: when it ends by itself. Take it again before, to keep it."""
    reason: str = ""
    holder: str = ""
    """Workflow id of who holds it, if that is not this key."""
    queue: int = 0
    """How many wait for it."""


class LockingTools:
    """Locks live in the environment's workflow: no crash of ours or of the agent leaves one."""

    def __init__(self, snapshots: Snapshots, requests: Requests, *, wait_seconds: float) -> None:
        self._snapshots = snapshots
        self._requests = requests
        self._wait = wait_seconds

    async def acquire_lock(
        self, path: str, lease_seconds: LeaseSeconds = LEASE_SECONDS
    ) -> LockAnswer:
        """Take or renew a lock. /status/deployment.lock is the environment's own.

        Idempotent: this key has one lease on a lock. While `phase` is `waiting`, call again. The
        lock ends by itself when it is not renewed.
        """
        request = await self._request(path, lease_seconds)
        state = await (await self._requests()).acquire(request, wait_seconds=self._wait)
        return await self._answer(path, request, state)

    async def release_lock(self, path: str) -> LockAnswer:
        """Give a lock, or the place in its queue, back. Idempotent."""
        request = await self._request(path, LEASE_SECONDS)
        before = await (await self._requests()).release(request)
        phase = "free" if before is None else "ended"
        return LockAnswer(path=path, held=False, phase=phase, fencing=_fencing(before))

    async def lock_status(self, path: str = f"/{ENVIRONMENT_LOCK}") -> LockAnswer:
        """Look at a lock: whether this key holds it, who else does, how many wait."""
        request = await self._request(path, LEASE_SECONDS)
        state = await (await self._requests()).lease(request)
        return await self._answer(path, request, state)

    async def _request(self, path: str, lease_seconds: int) -> LeaseRequest:
        present = caller()
        heads = await asyncio.to_thread(self._snapshots.heads, present.workspace)
        note(revision=heads.revision)
        return LeaseRequest(
            repository=present.workspace.repository,
            environment=_lock(path),
            holder=present.key.id,
            revision=heads.revision,
            lease_seconds=lease_seconds,
        )

    async def _answer(
        self, path: str, request: LeaseRequest, lease: LeaseState | None
    ) -> LockAnswer:
        slug = request.repository.slug
        requests = await self._requests()
        environment = await requests.environment(slug, request.environment)
        ours = names.lease_id(slug, request.environment, request.holder)
        holder = environment.holder.holder if environment and environment.holder else ""
        answer = lease.answer if lease else None
        return LockAnswer(
            path=path,
            held=lease is not None and lease.phase == "held",
            phase=lease.phase if lease else "free",
            fencing=_fencing(lease),
            expires_at=lease.expires_at if lease else "",
            reason=answer.reason if answer else "",
            holder="" if holder == ours else holder,
            queue=len(environment.queue) if environment else 0,
        )


def _lock(path: str) -> str:
    present = caller()
    plain = writable_path(path, present.key.folders)
    if plain != ENVIRONMENT_LOCK:
        return names.lock_name(plain)
    # Looked up for its refusal: without an environment there is no lock of one.
    _ = present.target
    return present.key.environment


def _fencing(lease: LeaseState | None) -> int:
    return lease.answer.fencing if lease and lease.answer else 0
