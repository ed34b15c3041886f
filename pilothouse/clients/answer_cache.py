"""What a command said about some files, kept under a digest of everything that it depends on.

Nothing heavy is imported here: the answer to a folder that did not change is there before a model
or a schema could be loaded. What is kept is what was printed, which never holds a secret value.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

import pilothouse
from pilothouse.clients.environment import own_variables
from pilothouse.clients.folder_files import FolderFiles
from pilothouse.models.errors import PermanentError

MOST_ENTRIES: Final = 256
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of all entries together; the ones that were not used for longest go first."""
_MOST_ENTRY_BYTES: Final = 8 * 1024 * 1024
_MOST_INPUT_BYTES: Final = 256 * 1024 * 1024
"""Of a folder. Hashing more is no gain: such a folder is validated each time."""
_TOOLS: Final = ("kubectl", "helm")


class Answer(NamedTuple):
    """What a command said."""

    text: str
    """All of its standard output."""
    exit_code: int


def key_of(words: Sequence[str], *, today: date) -> str:
    """The digest of everything that an answer depends on.

    Covered are the words of the command line and every file, by path and bytes, below those of them
    that name something on the disk; the day, since exceptions expire; the settings; and the
    programs that make the answer: this one, its libraries, the interpreter, `kubectl` and `helm`,
    by their files' sizes and times.

    Args:
        words: the command line. More than the command will read may be covered, never less.
        today: the day that exceptions are compared with.

    Returns:
        64 hexadecimal digits; empty if no answer may be kept: nothing is named, or it cannot be
        read as a folder of manifests, or is too large.
    """
    context = {
        "words": list(words),
        "folder": str(Path.cwd()),
        "today": today.isoformat(),
        "settings": own_variables(),
        "python": sys.version,
        "programs": [*_programs()],
    }
    digest = hashlib.sha256(json.dumps(context, sort_keys=True).encode())
    named = list(_named(words))
    try:
        total = sum(_add_files(digest, path) for path in named)
    except (OSError, KeyError, PermanentError, UnicodeError):
        # Whoever reads it next says what is wrong with it; and that is not worth keeping.
        return ""
    return digest.hexdigest() if named and total <= _MOST_INPUT_BYTES else ""


def _named(words: Sequence[str]) -> Iterator[Path]:
    """What the words name on the disk, as `PATH`, `--option PATH`, `--option=PATH` or `-oPATH`."""
    for word in words:
        text = word.partition("=")[2] or word[2:] if word.startswith("-") else word
        if text and Path(text).exists():
            yield Path(text)


def _add_files(digest: "hashlib._Hash", path: Path) -> int:
    """Add every file that reading a path may come by; returns the bytes of all."""
    if path.is_file() and "kustomization" not in path.name.lower():
        files = FolderFiles(path.parent, only=path.name)
    else:
        files = FolderFiles(path.parent if path.is_file() else path)
    total = 0
    for name in files:
        data = files[name]
        total += len(data)
        if total > _MOST_INPUT_BYTES:
            break
        # Lengths first, so that no two folders run together to the same bytes.
        digest.update(f"\n{len(name.encode())} {len(data)} {name}\n".encode())
        digest.update(data)
    return total


def _programs() -> Iterator[tuple[str, int, int]]:
    """Files whose change changes answers: path, size, time of the last change."""
    ours = Path(pilothouse.__file__).parent
    beside = Path(sys.executable).parent
    tools = (shutil.which(tool, path=where) for tool in _TOOLS for where in (beside, None))
    # A folder's own time changes with every library that is installed into it.
    libraries = {Path(place) for place in sys.path if place.endswith("site-packages")}
    programs: Iterable[Path] = [
        *sorted(ours.rglob("*.py")),
        *sorted(libraries),
        *(Path(tool) for tool in tools if tool),
    ]
    for program in programs:
        status = program.stat()
        yield str(program), status.st_size, status.st_mtime_ns


class AnswerCache:
    """The entries in one folder. Several processes may use it at once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, key: str) -> Answer | None:
        """The answer for a key, unless there is none, or it is damaged."""
        path = self._directory / key
        try:
            checksum, _, body = path.read_bytes().partition(b"\n")
            if hashlib.sha256(body).hexdigest().encode() != checksum:
                return None
            os.utime(path)
        except OSError:
            # Absent, or another process has just thrown it away: then the answer is made anew.
            return None
        text, exit_code = json.loads(body)
        return Answer(text, exit_code)

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer, whole or not at all; an unwritable folder keeps nothing."""
        body = json.dumps(answer).encode()
        if len(body) > _MOST_ENTRY_BYTES:
            return
        checksum = hashlib.sha256(body).hexdigest().encode()
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            # A temporary name and a rename: a reader sees all of it or nothing.
            handle, temporary = tempfile.mkstemp(dir=self._directory, prefix=".new-")
            with os.fdopen(handle, "wb") as file:
                file.write(checksum + b"\n" + body)
            Path(temporary).replace(self._directory / key)
            self._make_room()
        except OSError:
            # A cache is a convenience: in a container without a home the answer stands all the
            # same.
            return

    def _make_room(self) -> None:
        """Throw away what was not used for longest."""
        entries = sorted(self._entries(), reverse=True)
        total = 0
        for number, (_, size, path) in enumerate(entries, start=1):
            total += size
            if number > MOST_ENTRIES or total > MOST_BYTES:
                path.unlink(missing_ok=True)

    def _entries(self) -> Iterator[tuple[int, int, Path]]:
        for entry in os.scandir(self._directory):
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue
            yield status.st_mtime_ns, status.st_size, Path(entry.path)
