"""Reads commits, trees and files out of a mirror: by object id, checked against it."""

import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import IO, Protocol

from pilothouse.clients.git.border import checked_tree_path
from pilothouse.clients.git.environment import local_environment
from pilothouse.clients.git.mirror import Mirror, MirrorDamagedError
from pilothouse.clients.git.process import GitProcess
from pilothouse.gitops.redaction import Redactor
from pilothouse.models.errors import PermanentError
from pilothouse.models.repository import Commit

MAX_FILES = 20_000
MAX_NAME = 320
"""Characters of a person's name or e-mail address."""
MAX_SUBJECT = 500
MAX_CO_AUTHORS = 100

REGULAR_MODES = frozenset({"100644", "100755"})
"""Files with bytes of their own: not symlinks, not submodules."""

_REDACTOR = Redactor()
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_PERSON = re.compile(r"(?P<name>[^<]*)<(?P<email>[^>]*)> (?P<seconds>-?[0-9]+) (?P<zone>\S+)")
_ZONE = re.compile(r"(?P<sign>[+-])(?P<hours>[01][0-9])(?P<minutes>[0-5][0-9])")
_CO_AUTHOR = re.compile(r"^co-authored-by:[^<]*<([^>]*)>", re.IGNORECASE | re.MULTILINE)


class Objects(Protocol):
    """Where Git's objects are: a mirror of ours, or a repository that somebody works in."""

    @property
    def path(self) -> Path:
        """The folder with `objects` in it."""
        ...


@dataclass(frozen=True)
class TreeEntry:
    """One line of a commit's tree."""

    path: str
    mode: str
    """`100644`, `100755`, `120000` (symlink) or `160000` (submodule)."""
    oid: str
    size: int
    """Bytes; 0 for a submodule."""


@dataclass(frozen=True)
class TreeFile:
    """One file of a commit."""

    path: str
    mode: str
    size: int
    """Bytes; of a symlink, those of its target's name."""
    data: bytes | None
    """None for a symlink, a submodule, and a file that is larger than asked for."""


def read_commit(mirror: Mirror, revision: str) -> Commit:
    """Read one commit that the mirror holds.

    Raises:
        MirrorDamagedError: it cannot be read.
        PermanentError: `RevisionNotFound`, the id is not that of a commit.
    """
    finished = mirror.run("cat-file", "--batch", stdin=f"{revision}\n".encode())
    header, _, rest = finished.out.partition(b"\n")
    words = header.split()
    if len(words) != 3:
        raise MirrorDamagedError(f"{revision} cannot be read")
    if words[1] != b"commit":
        raise PermanentError("RevisionNotFound", f"{revision} is a {words[1].decode()}, no commit")
    raw = rest[: int(words[2])]
    _check_hash(b"commit", raw, revision)
    return _parse_commit(revision, raw)


def read_tree(mirror: Objects, revision: str, *, max_files: int = MAX_FILES) -> list[TreeEntry]:
    """List every file of a commit, in Git's order.

    The list is read as it comes: a tree that refers to itself a thousand times over is left at
    `max_files`, not expanded.

    Raises:
        MirrorDamagedError: it cannot be read.
        PermanentError: `RepositoryRefused`, too many files or a path that is not safe.
    """
    arguments = ("ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", revision)
    entries: list[TreeEntry] = []
    with _local(mirror, arguments, None) as process:
        rest = b""
        while chunk := process.stdout.read(64 * 1024):
            *lines, rest = (rest + chunk).split(b"\0")
            if len(entries) + len(lines) > max_files or len(rest) > 64 * 1024:
                raise PermanentError(
                    "RepositoryRefused", f"the revision holds more than {max_files} files"
                )
            entries.extend(_parse_entry(line) for line in lines)
        finished = process.finish()
    if finished.code != 0 or rest:
        raise MirrorDamagedError(finished.error)
    return entries


def read_files(
    mirror: Objects, entries: Iterable[TreeEntry], *, max_file_bytes: int
) -> Iterator[TreeFile]:
    """Yield the entries with their content, one at a time, in order.

    Raises:
        MirrorDamagedError: an object is missing, cut or not what its id says.
    """
    entries = list(entries)
    wanted = [each for each in entries if _has_content(each, max_file_bytes)]
    blobs = _read_blobs(mirror, wanted)
    for entry in entries:
        data = next(blobs) if _has_content(entry, max_file_bytes) else None
        yield TreeFile(path=entry.path, mode=entry.mode, size=entry.size, data=data)


def _has_content(entry: TreeEntry, max_file_bytes: int) -> bool:
    return entry.mode in REGULAR_MODES and entry.size <= max_file_bytes


def _read_blobs(mirror: Objects, entries: Sequence[TreeEntry]) -> Iterator[bytes]:
    with tempfile.TemporaryFile() as questions:
        # A file and not a pipe: with a pipe, we would wait for Git while Git waits for us.
        questions.write("".join(f"{entry.oid}\n" for entry in entries).encode())
        questions.seek(0)
        with _local(mirror, ("cat-file", "--batch", "--buffer"), questions) as process:
            for entry in entries:
                header = process.stdout.readline(200).split()
                if len(header) != 3 or header[1] != b"blob":
                    raise MirrorDamagedError(f"{entry.oid} cannot be read")
                size = int(header[2])
                data = process.stdout.read(size + 1)[:size]
                _check_hash(b"blob", data, entry.oid)
                yield data


def _local(mirror: Objects, arguments: tuple[str, ...], stdin: IO[bytes] | None) -> GitProcess:
    return GitProcess(
        mirror.path,
        arguments,
        environment=local_environment(mirror.path),
        stdin=stdin,
        timeout=None,
    )


def object_id(kind: bytes, data: bytes) -> str:
    """Return the id under which Git keeps some bytes."""
    digest = hashlib.sha1(b"%s %d\0" % (kind, len(data)), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def _check_hash(kind: bytes, data: bytes, oid: str) -> None:
    # Git trusts its own packs; a byte that flipped on disk must not reach a cluster.
    if object_id(kind, data) != oid:
        raise MirrorDamagedError(f"the bytes of {oid} were altered")


def _parse_entry(line: bytes) -> TreeEntry:
    attributes, _, path = line.partition(b"\t")
    mode, _, oid, size = attributes.decode("ascii").split()
    if size == "BAD":
        # Git's word for an object that it cannot read; it does not fail for it.
        raise MirrorDamagedError(f"{oid} cannot be read")
    return TreeEntry(
        path=checked_tree_path(path), mode=mode, oid=oid, size=0 if size == "-" else int(size)
    )


def _parse_commit(revision: str, raw: bytes) -> Commit:
    head, _, body = raw.partition(b"\n\n")
    headers: dict[str, str] = {}
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        # The first one counts, as in Git; a continued line (of a signature) has an empty key.
        headers.setdefault(key.decode(errors="replace"), value.decode(errors="replace"))
    message = body.decode(errors="replace")
    author_name, author_email, _ = _parse_person(headers.get("author", ""))
    _, committer_email, committed_at = _parse_person(headers.get("committer", ""))
    co_authors = dict.fromkeys(_plain(each, MAX_NAME) for each in _CO_AUTHOR.findall(message))
    return Commit(
        revision=revision,
        author_name=author_name,
        author_email=author_email,
        committer_email=committer_email,
        co_authors=tuple(co_authors)[:MAX_CO_AUTHORS],
        committed_at=committed_at.isoformat(),
        # People paste addresses with passwords in them; the subject goes wherever the run does.
        subject=_plain(_REDACTOR.redact(message.strip().partition("\n")[0]).text, MAX_SUBJECT),
    )


def _parse_person(text: str) -> tuple[str, str, datetime]:
    match = _PERSON.fullmatch(text)
    if match is None:
        return _plain(text, MAX_NAME), "", datetime.fromtimestamp(0, UTC)
    name, email = _plain(match["name"], MAX_NAME), _plain(match["email"], MAX_NAME)
    return name, email, _moment(int(match["seconds"]), match["zone"])


def _moment(seconds: int, zone: str) -> datetime:
    match = _ZONE.fullmatch(zone)
    offset = timedelta(0)
    if match is not None:
        offset = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"]))
        offset = -offset if match["sign"] == "-" else offset
    try:
        return datetime.fromtimestamp(seconds, timezone(offset))
    except (ValueError, OverflowError, OSError):
        # A commit may claim any time; one that no calendar holds is as good as none.
        return datetime.fromtimestamp(0, UTC)


def _plain(text: str, limit: int) -> str:
    return _CONTROL.sub(" ", text).strip()[:limit]
