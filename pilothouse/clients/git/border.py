"""What may stand in a Git command line. The models check too; Git is where a mistake would cost.

Everything here is an allow-list over the whole string: what is not plainly harmless is refused, and
nothing is escaped, quoted or repaired.
"""

import re
from urllib.parse import urlsplit

from pilothouse.models.errors import PermanentError
from pilothouse.models.repository import RepositoryRef

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
"""Where plain http is allowed: nobody can listen in between."""

MAX_URL = 1024
MAX_REF = 240
MAX_PATH = 1024
MAX_PATH_PART = 255

_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
_URL = re.compile(
    rf"(?P<scheme>https?|ssh)://(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]{{0,63}}@)?"
    rf"(?:{_HOST}|\[[0-9A-Fa-f:.]{{2,45}}\])(?P<port>:[0-9]{{1,5}})?(?P<path>/[A-Za-z0-9._~/-]+)"
)
_REF = re.compile(r"refs/(?:heads|tags|pull)/[A-Za-z0-9][A-Za-z0-9._/+-]*")
_REVISION = re.compile(r"[0-9a-f]{40}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Invisible characters that some file systems drop, so that `.g<U+200C>it` would become `.git`.
_IGNORABLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_DOT_GIT = re.compile(r"\.git[ .]*|git~[0-9]+", re.IGNORECASE)


def checked_url(repository: RepositoryRef) -> str:
    """Return the repository's URL, if Git may be pointed at it.

    Raises:
        PermanentError: `RepositoryRefused`; the message never repeats the URL, which may hold
            somebody's password.
    """
    url = repository.url
    match = _URL.fullmatch(url) if len(url) <= MAX_URL else None
    if match is None:
        raise _refused("the repository's URL is none that Git is allowed to open")
    if match["user"] and match["scheme"] != "ssh":
        raise _refused("credentials do not belong in the URL: give them to the worker")
    if any(part in {".", ".."} or part.startswith("-") for part in match["path"].split("/")):
        raise _refused("a part of the URL's path is '.', '..' or begins with '-'")
    if match["port"] and not 0 < int(match["port"][1:]) < 65536:
        raise _refused("the URL's port is out of range")
    if match["scheme"] == "http" and urlsplit(url).hostname not in LOOPBACK_HOSTS:
        raise _refused("plain http is for this machine only: use https")
    return url


def checked_ref(ref: str) -> str:
    """Return a full ref, `refs/heads/...`, `refs/tags/...` or `refs/pull/...`.

    Raises:
        PermanentError: `RepositoryRefused`.
    """
    parts = ref.split("/")
    if (
        len(ref) > MAX_REF
        or not _REF.fullmatch(ref)
        or ".." in ref
        or any(not part or part.startswith((".", "-")) for part in parts)
        or any(part.endswith((".", ".lock")) for part in parts)
    ):
        raise _refused("expected a full ref such as refs/heads/main or refs/pull/7/head")
    return ref


def checked_revision(revision: str) -> str:
    """Return a full SHA-1 commit id.

    Raises:
        PermanentError: `RepositoryRefused`; also for SHA-256 repositories, which are not supported.
    """
    if not _REVISION.fullmatch(revision):
        raise _refused("expected a full commit id of 40 hexadecimal digits")
    return revision


def checked_tree_path(raw: bytes) -> str:
    """Return a path that stands in a commit, if a snapshot can hold it.

    Raises:
        PermanentError: `RepositoryRefused`, it leaves the tree or is no printable UTF-8.
    """
    try:
        path = raw.decode()
    except UnicodeDecodeError:
        raise _refused(f"the file name {raw!r} is not UTF-8: rename it") from None
    if len(path) > MAX_PATH or _CONTROL.search(path) or not _stays_inside(path):
        raise _refused(f"the file name {path[:MAX_PATH]!r} is not safe: rename it")
    return path


def checked_new_path(path: str) -> str:
    """Return a path that we may write in a commit: stricter than what we read.

    Raises:
        PermanentError: `InvalidRequest`.
    """
    if (
        not path
        or len(path) > MAX_PATH
        or _CONTROL.search(path)
        or _IGNORABLE.search(path)
        or "\\" in path
        or not path.isprintable()
        or not _stays_inside(path)
    ):
        raise PermanentError("InvalidRequest", f"{path[:MAX_PATH]!r} is no path for a file")
    return path


def _stays_inside(path: str) -> bool:
    return all(
        part not in {"", ".", ".."}
        and len(part.encode(errors="surrogatepass")) <= MAX_PATH_PART
        and not _DOT_GIT.fullmatch(_IGNORABLE.sub("", part))
        for part in path.split("/")
    )


def _refused(message: str) -> PermanentError:
    return PermanentError("RepositoryRefused", message)
