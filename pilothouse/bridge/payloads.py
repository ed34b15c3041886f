"""What a verified body says, read totally: any bytes give an event, a reason, or a refusal."""

import hashlib
import json
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from pilothouse.bridge.configuration import FullName
from pilothouse.models.base import explain
from pilothouse.models.repository import Ref, RepositoryEvent, RepositoryRef, Revision

KNOWN_EVENTS = frozenset({
    "check_run",
    "check_suite",
    "create",
    "delete",
    "deployment",
    "deployment_status",
    "fork",
    "installation",
    "installation_repositories",
    "issue_comment",
    "issues",
    "label",
    "member",
    "meta",
    "milestone",
    "public",
    "pull_request_review",
    "pull_request_review_comment",
    "release",
    "repository",
    "star",
    "status",
    "watch",
    "workflow_job",
    "workflow_run",
})
"""Events that forges send and that start nothing here."""
HEAD_ACTIONS = frozenset({"opened", "reopened", "synchronize", "ready_for_review"})
"""What a pull request does to ask for a look."""
MAX_COMMAS = 200_000
"""A true payload of 5 MiB has half as many; 5 MiB of `0,` would take 400 MB to read."""

_Stamp = Annotated[int | str, Field(union_mode="left_to_right")]


class _Payload(BaseModel):
    """A part of a forge's document: only what we need, exactly typed, the rest dropped."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


PayloadType = TypeVar("PayloadType", bound=_Payload)


class _Repository(_Payload):
    full_name: FullName
    pushed_at: _Stamp | None = None
    """When the forge took the push; tells a branch put back from a body sent again."""


class _Named(_Payload):
    repository: _Repository


class _Push(_Named):
    ref: Annotated[str, StringConstraints(max_length=1024)]
    before: Revision
    after: Revision
    deleted: bool = False


class _Head(_Payload):
    sha: Revision


class _Base(_Payload):
    ref: Annotated[str, StringConstraints(max_length=1024)]


class _PullRequest(_Payload):
    head: _Head
    base: _Base
    updated_at: Annotated[str, StringConstraints(max_length=64)] = ""


class _PullRequestEvent(_Named):
    action: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,64}$")]
    number: Annotated[int, Field(ge=1, le=2**31)]
    pull_request: _PullRequest


class _BaseRef(BaseModel):
    ref: Ref


class Happening(BaseModel):
    """One thing that happened to a repository, ready for the journal."""

    model_config = ConfigDict(frozen=True)

    event: RepositoryEvent
    fingerprint: str
    """Digest over ref, head, action and the forge's own time: equal for a body sent again."""


class Ignored(BaseModel):
    """Understood, and nothing to do."""

    model_config = ConfigDict(frozen=True)

    reason: str


class MalformedError(ValueError):
    """The body is not what the event's name promises; the message says where."""


def repository_named_in(body: bytes) -> str:
    """Return the full name of the repository that a body speaks of.

    Raises:
        MalformedError: it is not JSON, or names no repository.
    """
    return _parse(_Named, body).repository.full_name


def read_push(body: bytes, repository: RepositoryRef, delivery: str) -> Happening | Ignored:
    """Read a `push`: only the default branch leads to an event.

    Raises:
        MalformedError: a field is missing or has the wrong form.
    """
    push = _parse(_Push, body)
    if push.ref != repository.default_ref:
        return Ignored(reason=f"only pushes to {repository.default_ref} start runs")
    if push.deleted:
        return Ignored(reason="the default branch was deleted: nothing to deploy from")
    stamp = push.repository.pushed_at
    return Happening(
        event=RepositoryEvent(kind="push", ref=repository.default_ref, delivery=delivery),
        fingerprint=_fingerprint(push.ref, push.after, "push", push.before, stamp),
    )


def read_pull_request(body: bytes, repository: RepositoryRef, delivery: str) -> Happening | Ignored:
    """Read a `pull_request`; its branch names come from strangers and become no ref of ours.

    Raises:
        MalformedError: a field is missing or has the wrong form.
    """
    payload = _parse(_PullRequestEvent, body)
    closed = payload.action == "closed"
    if not closed and payload.action not in HEAD_ACTIONS:
        return Ignored(reason=f"a pull request that is {payload.action} needs no new look")
    try:
        base_ref = _BaseRef(ref=f"refs/heads/{payload.pull_request.base.ref}").ref
    except ValidationError:
        raise MalformedError("pull_request.base.ref: not the name of a branch") from None
    ref = f"refs/pull/{payload.number}/head"
    head = payload.pull_request.head.sha
    updated_at = payload.pull_request.updated_at
    return Happening(
        event=RepositoryEvent(
            kind="pull_request",
            ref=ref,
            delivery=delivery,
            number=payload.number,
            base_ref=base_ref,
            closed=closed,
        ),
        fingerprint=_fingerprint(ref, head, payload.action, base_ref, updated_at),
    )


def _fingerprint(*parts: str | int | None) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _parse(model: type[PayloadType], body: bytes) -> PayloadType:
    # pydantic's JSON reader bounds the depth itself (about 200): no body makes it recurse away.
    # Each value but the first of its container follows a comma, so these bound the memory.
    if body.count(b",") > MAX_COMMAS:
        raise MalformedError(f"more than {MAX_COMMAS} values")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise MalformedError(explain(error)) from error
