"""Makes commits in a mirror without a checkout; the same inputs give the same commit id."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pilothouse.clients.git.mirror import KEPT, Mirror, MirrorDamagedError
from pilothouse.clients.git.reading import REGULAR_MODES, TreeEntry, object_id
from pilothouse.models.errors import PermanentError

IDENTITY = "Pilothouse <pilothouse@localhost>"
"""Committer of every commit of ours, and its author unless an agent has written it."""
MAX_NAMED = 10
"""How many paths an error names."""

_BRANCH = "refs/building/commit"
_PERSON = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99} <[A-Za-z0-9._-]{1,64}@[a-z0-9.-]{1,100}>")


@dataclass(frozen=True)
class Content:
    """New bytes for a path."""

    data: bytes


@dataclass(frozen=True)
class Existing:
    """A mode and an object that the mirror already holds."""

    mode: str
    oid: str


Change = Content | Existing | None
"""What becomes of a path; None deletes it."""


@dataclass(frozen=True)
class CommitText:
    """A commit's message and moment."""

    message: str
    when: datetime
    """With a time zone; whole seconds count, and the commit states them in UTC."""
    author: str = IDENTITY
    """`name <e-mail>`, of plain letters."""


def write_commit(
    mirror: Mirror,
    *,
    base: str | None,
    entries: Iterable[TreeEntry],
    changes: Mapping[str, Change],
    text: CommitText,
) -> str:
    """Put a commit into the mirror and return its id. Idempotent; the caller holds the lock.

    Args:
        mirror: which holds `base`.
        base: the parent; None makes a root commit.
        entries: the files of `base`.
        changes: path -> what becomes of it.
        text: message and moment.

    Raises:
        PermanentError: `InvalidRequest`, a path would be a file and a folder at once, or the
            message or moment cannot stand in a commit.
        MirrorDamagedError: Git could not write.
    """
    modes = {entry.path: entry.mode for entry in entries}
    _refuse_collisions(modes, changes)
    finished = mirror.run(
        "fast-import", "--quiet", "--force", "--done", stdin=_stream(base, modes, changes, text)
    )
    revision = finished.out.decode("ascii", errors="replace").strip()
    if finished.code != 0 or len(revision) != 40:
        raise MirrorDamagedError(finished.error)
    kept = mirror.run("update-ref", "--end-of-options", KEPT + revision, revision)
    if kept.code != 0:
        raise MirrorDamagedError(kept.error)
    return revision


def changes_nothing(entries: Iterable[TreeEntry], changes: Mapping[str, Change]) -> bool:
    """Whether the files would be the same after the changes."""
    now = _by_path(entries)
    return all(now.get(path) == _outcome(change, now.get(path)) for path, change in changes.items())


def revert_changes(
    *,
    head: Iterable[TreeEntry],
    bad: Iterable[TreeEntry],
    good: Iterable[TreeEntry],
    keep: tuple[str, ...],
) -> dict[str, Change]:
    """Say what puts back `good` where `bad` changed it, on top of `head`.

    A path that `head` already has as `good` has it needs nothing.

    Raises:
        PermanentError: `RevertConflict`, `head` has changed a path since; names the paths.
    """
    at_head, at_bad, at_good = _by_path(head), _by_path(bad), _by_path(good)
    changes: dict[str, Change] = {}
    conflicts: list[str] = []
    for path in sorted(at_bad.keys() | at_good.keys()):
        then, wanted, now = at_bad.get(path), at_good.get(path), at_head.get(path)
        if path.startswith(keep) or then == wanted or now == wanted:
            continue
        if now == then:
            changes[path] = wanted
        else:
            conflicts.append(path)
    if conflicts:
        raise PermanentError(
            "RevertConflict",
            f"{_named(conflicts)} changed again since: revert by hand, or fix forward",
        )
    return changes


def _outcome(change: Change, now: Existing | None) -> Existing | None:
    if not isinstance(change, Content):
        return change
    return Existing(_mode(now.mode if now else ""), object_id(b"blob", change.data))


def _mode(now: str) -> str:
    # A link that we write to becomes a file: what it points at is not ours to change.
    return now if now in REGULAR_MODES else "100644"


def _by_path(entries: Iterable[TreeEntry]) -> dict[str, Existing]:
    return {entry.path: Existing(entry.mode, entry.oid) for entry in entries}


def _refuse_collisions(modes: Mapping[str, str], changes: Mapping[str, Change]) -> None:
    # Git would silently drop the folder for the file, or the file for the folder.
    gone = {path for path, change in changes.items() if change is None}
    files = (modes.keys() | changes.keys()) - gone
    folders = {path[:at] for path in files for at in _slashes(path)}
    both = sorted(files & folders)
    if both:
        raise PermanentError("InvalidRequest", f"{_named(both)} would be file and folder at once")


def _slashes(path: str) -> list[int]:
    return [at for at, character in enumerate(path) if character == "/"]


def _named(paths: list[str]) -> str:
    more = f" and {len(paths) - MAX_NAMED} more" if len(paths) > MAX_NAMED else ""
    return ", ".join(paths[:MAX_NAMED]) + more


def _stream(
    base: str | None, modes: Mapping[str, str], changes: Mapping[str, Change], text: CommitText
) -> bytes:
    blobs: list[bytes] = []
    deletions: list[bytes] = []
    edits: list[bytes] = []
    for path in sorted(changes):
        change = changes[path]
        quoted = _quote(path)
        if change is None:
            deletions.append(b"D %s\n" % quoted)
        elif isinstance(change, Existing):
            edits.append(b"M %s %s %s\n" % (change.mode.encode(), change.oid.encode(), quoted))
        else:
            blobs.append(b"blob\nmark :%d\n%s" % (len(blobs) + 1, _data(change.data)))
            mode = _mode(modes.get(path, "")).encode()
            edits.append(b"M %s :%d %s\n" % (mode, len(blobs), quoted))
    mark = len(blobs) + 1
    head = b"commit %s\nmark :%d\n" % (_BRANCH.encode(), mark)
    parent = b"from %s\n" % base.encode() if base else b""
    # Deletions first: a file may make room for a folder of its name.
    end = b"\nget-mark :%d\ndone\n" % mark
    return b"".join([*blobs, head, _identity(text), parent, *deletions, *edits, end])


def _identity(text: CommitText) -> bytes:
    message = text.message.strip() + "\n"
    if "\0" in message or text.when.tzinfo is None or text.when.timestamp() < 0:
        raise PermanentError(
            "InvalidRequest", "a commit needs a message without NUL and a time with a zone"
        )
    if not _PERSON.fullmatch(text.author):
        raise PermanentError("InvalidRequest", "the author of a commit is `name <e-mail>`")
    moment = f"{int(text.when.timestamp())} +0000\n"
    # Lengths go before the bytes, so that no message can end itself and begin a command.
    people = f"author {text.author} {moment}committer {IDENTITY} {moment}"
    return people.encode() + _data(message.encode())


def _data(data: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(data), data)


def _quote(path: str) -> bytes:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'.encode()
