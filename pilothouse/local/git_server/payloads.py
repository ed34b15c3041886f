"""What happened in a push, told in the shape of GitHub's webhooks."""

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import JsonValue

from pilothouse.local.git_server.commands import read_git

JsonObject = dict[str, JsonValue]

MAX_COMMITS = 20
"""How many commits of a push are listed; GitHub stops at 2048."""

_ZERO = "0" * 40
_LINE = re.compile(r"(?P<before>[0-9a-f]{40}) (?P<after>[0-9a-f]{40}) (?P<ref>refs/\S{1,500})")
_PULL_REQUEST = re.compile(r"refs/pull/(?P<number>[1-9][0-9]{0,8})/head")
_FORMAT = "--format=%H%x00%T%x00%an%x00%ae%x00%cn%x00%ce%x00%cI%x00%B%x00%x01"


@dataclass(frozen=True)
class RefChange:
    """One line of what Git tells its post-receive hook."""

    before: str
    after: str
    ref: str

    @property
    def created(self) -> bool:
        """The ref did not exist."""
        return self.before == _ZERO

    @property
    def deleted(self) -> bool:
        """The ref is gone."""
        return self.after == _ZERO


@dataclass(frozen=True)
class ReceivedPush:
    """A push as the hook wrote it down."""

    key: str
    """Names the push for good: a delivery that is sent again keeps its id."""
    name: str
    changes: tuple[RefChange, ...]
    at: datetime


@dataclass(frozen=True)
class Webhook:
    """One event, ready to be signed and sent."""

    event: str
    delivery: str
    payload: JsonObject


def parse_push(key: str, text: str, at: datetime) -> ReceivedPush:
    """Read what the post-receive hook wrote; lines that Git cannot have written are left out."""
    name, *lines = text.splitlines()
    matches = [match for line in lines if (match := _LINE.fullmatch(line))]
    changes = tuple(RefChange(each["before"], each["after"], each["ref"]) for each in matches)
    return ReceivedPush(key=key, name=name, changes=changes, at=at)


async def webhooks(push: ReceivedPush, repository: Path, base_url: str) -> list[Webhook]:
    """Tell a push as webhooks: `push` for a branch, `pull_request` for `refs/pull/<n>/head`.

    Other refs are told to nobody. Idempotent: the same push gives the same delivery ids.
    """
    default_branch = _default_branch(repository)
    told: list[Webhook] = []
    for change in push.changes:
        scene = _Scene(push, change, repository, base_url, default_branch)
        pull_request = _PULL_REQUEST.fullmatch(change.ref)
        if pull_request:
            event, payload = "pull_request", await scene.pull_request(int(pull_request["number"]))
        elif change.ref.startswith("refs/heads/"):
            event, payload = "push", await scene.push_payload()
        else:
            continue
        delivery = uuid.uuid5(uuid.NAMESPACE_URL, f"pilothouse:{push.key}:{change.ref}")
        told.append(Webhook(event=event, delivery=str(delivery), payload=payload))
    return told


@dataclass(frozen=True)
class _Scene:
    """One changed ref and everything around it."""

    push: ReceivedPush
    change: RefChange
    path: Path
    base_url: str
    default_branch: str

    async def push_payload(self) -> JsonObject:
        change = self.change
        commits = await self._commits()
        head = commits[-1] if commits else None
        person = _person(head)
        return {
            "ref": change.ref,
            "before": change.before,
            "after": change.after,
            "created": change.created,
            "deleted": change.deleted,
            "forced": await self._forced(),
            "base_ref": None,
            "compare": f"{self._html_url}/compare/{change.before[:12]}...{change.after[:12]}",
            "commits": [*commits],
            "head_commit": head,
            "repository": self._repository(),
            "pusher": person,
            "sender": _sender(person),
        }

    async def pull_request(self, number: int) -> JsonObject:
        change = self.change
        if change.deleted:
            action, head_sha = "closed", change.before
        else:
            action, head_sha = "opened" if change.created else "synchronize", change.after
        commit = await self._commit(head_sha)
        user = _sender(_person(commit))
        base_sha = await self._resolve(f"refs/heads/{self.default_branch}")
        message = str(commit["message"]) if commit else ""
        title, _, body = message.partition("\n")
        details: JsonObject = {
            "number": number,
            "state": "closed" if change.deleted else "open",
            "locked": False,
            "draft": False,
            "merged": False,
            "title": title or f"Pull request {number}",
            "body": body.strip() or None,
            "user": user,
            "html_url": f"{self._html_url}/pull/{number}",
            "updated_at": _stamp(self.push.at),
            "head": self._side(f"pull/{number}", head_sha),
            "base": self._side(self.default_branch, base_sha or _ZERO),
        }
        payload: JsonObject = {
            "action": action,
            "number": number,
            "pull_request": details,
            "repository": self._repository(),
            "sender": user,
        }
        if action == "synchronize":
            payload |= {"before": change.before, "after": change.after}
        return payload

    @property
    def _html_url(self) -> str:
        return f"{self.base_url}/{self.push.name}"

    def _full_name(self) -> str:
        # Forges know no repository without an owner.
        return self.push.name if "/" in self.push.name else f"local/{self.push.name}"

    def _repository(self) -> JsonObject:
        owner, _, name = self._full_name().partition("/")
        return {
            "name": name,
            "full_name": self._full_name(),
            "private": False,
            "owner": {"login": owner, "name": owner, "type": "User"},
            "html_url": self._html_url,
            "url": self._html_url,
            "clone_url": f"{self._html_url}.git",
            "default_branch": self.default_branch,
            "fork": False,
            "pushed_at": int(self.push.at.timestamp()),
        }

    def _side(self, ref: str, sha: str) -> JsonObject:
        owner = self._full_name().partition("/")[0]
        return {
            "label": f"{owner}:{ref}",
            "ref": ref,
            "sha": sha,
            "user": {"login": owner, "type": "User"},
            "repo": self._repository(),
        }

    async def _commits(self) -> list[JsonObject]:
        if self.change.deleted:
            return []
        span = [self.change.after] if self.change.created else [f"^{self.change.before}"]
        newest = span if self.change.created else [self.change.after, *span]
        commits = await self._log(MAX_COMMITS, *newest)
        # Of a branch moved back nothing is new, and yet its head is what the push is about.
        return commits[::-1] or await self._log(1, self.change.after)

    async def _commit(self, revision: str) -> JsonObject | None:
        commits = await self._log(1, revision)
        return commits[0] if commits else None

    async def _log(self, limit: int, *revisions: str) -> list[JsonObject]:
        text = await read_git(self.path, "log", f"--max-count={limit}", _FORMAT, *revisions, "--")
        return [
            self._describe(record.lstrip("\n").split("\0"))
            for record in (text or "").split("\x01")
            if record.strip()
        ]

    def _describe(self, fields: list[str]) -> JsonObject:
        revision, tree, name, email, committer, committer_email, when, message = fields[:8]
        return {
            "id": revision,
            "tree_id": tree,
            "distinct": True,
            "message": message.strip(),
            "timestamp": when,
            "url": f"{self._html_url}/commit/{revision}",
            "author": {"name": name, "email": email, "username": name},
            "committer": {"name": committer, "email": committer_email, "username": committer},
        }

    async def _forced(self) -> bool:
        change = self.change
        if change.created or change.deleted:
            return False
        base = await read_git(self.path, "merge-base", change.before, change.after)
        return (base or "").strip() != change.before

    async def _resolve(self, ref: str) -> str | None:
        text = await read_git(self.path, "rev-parse", "--verify", "--quiet", ref)
        return text.strip() if text else None


def _default_branch(repository: Path) -> str:
    head = (repository / "HEAD").read_text(encoding="utf-8").strip()
    return head.removeprefix("ref: refs/heads/")


def _person(commit: JsonObject | None) -> JsonObject:
    author = commit["author"] if commit else None
    if not isinstance(author, dict):
        return {"name": "local", "email": "local@localhost"}
    return {"name": str(author["name"]), "email": str(author["email"])}


def _sender(person: JsonObject) -> JsonObject:
    return {"login": person["name"], "type": "User", "site_admin": False}


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
