"""A repository, a revision in it, and what happened to it."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, StringConstraints

from pilothouse.models.base import Claim, Contract

_REVISION = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def _full_commit_id(value: str) -> str:
    if not _REVISION.fullmatch(value):
        raise ValueError("expected a full commit id of 40 hexadecimal digits, no branch or tag")
    return value


Revision = Annotated[str, AfterValidator(_full_commit_id)]
"""A full commit id, 40 (SHA-1) or 64 (SHA-256) hexadecimal digits. Never a branch or a tag."""

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
"""The address of some bytes in the content store."""

_REF = re.compile(r"refs/(heads|tags|pull)/[A-Za-z0-9][A-Za-z0-9._/+-]{0,200}")


def _safe_ref(value: str) -> str:
    # Git's own rules (git check-ref-format), on top of a smaller alphabet.
    parts = value.split("/")
    badly_named = any(not part or part.startswith(".") or part.endswith(".lock") for part in parts)
    if not _REF.fullmatch(value) or badly_named or ".." in value or value.endswith("."):
        raise ValueError("expected a full ref such as refs/heads/main or refs/pull/7/head")
    return value


Ref = Annotated[str, AfterValidator(_safe_ref)]
"""A full ref name, `refs/heads/...`, `refs/tags/...` or `refs/pull/<number>/head`."""


_URL = re.compile(r"[A-Za-z0-9:/@.\[\]_~-]+")
_HOST = re.compile(r"[A-Za-z0-9:][A-Za-z0-9:.-]{0,252}")
_PATH = re.compile(r"/[A-Za-z0-9._~/-]+")


def _safe_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https", "ssh"} or not parts.hostname:
        raise ValueError("expected an http, https or ssh URL of a Git repository")
    if parts.password or (parts.username and parts.scheme != "ssh"):
        raise ValueError("credentials do not belong in the URL: give them to the worker")
    # urlsplit drops tabs and newlines before it splits, so the whole is looked at as well.
    if not _URL.fullmatch(value) or not _HOST.fullmatch(parts.hostname):
        raise ValueError("the URL holds characters that no repository's address needs")
    if parts.query or parts.fragment or not _PATH.fullmatch(parts.path):
        raise ValueError("the URL's path may hold letters, digits, '.', '_', '~', '-' and '/' only")
    if ".." in parts.path or {".", ".git"} & set(parts.path.split("/")) or "//" in parts.path:
        raise ValueError("the URL's path must not contain '..', '.', '.git' or an empty part")
    if parts.netloc.startswith(("@", "-")) or parts.netloc.endswith(":") or parts.port == 0:
        raise ValueError("the URL names no user, host or port where it should")
    return value


def _safe_branch(value: str) -> str:
    try:
        _safe_ref(f"refs/heads/{value}")
    except ValueError:
        raise ValueError("expected the name of a branch such as main or release/1.2") from None
    return value


BranchName = Annotated[str, AfterValidator(_safe_branch)]
"""A branch by its short name; `refs/heads/<name>` is a full ref."""


class RepositoryRef(Contract):
    """Where a repository is, and which of its branches is the truth."""

    url: Annotated[str, AfterValidator(_safe_url)]
    """Clone URL, http(s) or ssh, without credentials."""
    default_branch: BranchName = "main"

    @property
    def slug(self) -> str:
        """`<host>/<path>`, as it stands in every workflow id; `.git` and a loopback port left out.

        A port on loopback is an accident of start-up, and ids should survive a restart.
        """
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if host in {"localhost", "127.0.0.1", "::1"}:
            host = "localhost"
        elif parts.port:
            host = f"{host}:{parts.port}"
        return f"{host}/{parts.path.strip('/').removesuffix('.git')}"

    @property
    def default_ref(self) -> str:
        """The default branch as a full ref."""
        return f"refs/heads/{self.default_branch}"


class RepositoryEvent(Claim):
    """A hint that a ref moved: never a fact. The head is read from Git before anything starts."""

    kind: Literal["push", "pull_request", "manual"] = "push"
    ref: Annotated[str, AfterValidator(_safe_ref)] = "refs/heads/main"
    delivery: str = ""
    """The forge's delivery id, for deduplication; it is not signed, so it proves nothing."""
    number: int = 0
    """Pull request number; 0 for a push."""
    base_ref: str = ""
    """Pull request: the branch it wants to change, as a full ref. Empty: the default branch."""
    closed: bool = False
    """The pull request was closed or the branch deleted: its runs have no object any more."""


class OwnCommit(Contract):
    """A commit that we are about to push: its arrival must start no run."""

    revision: Revision
    run: str
    """Workflow id of the run that made it."""


class Commit(Contract):
    """One commit's identity, as Git says; names and message are untrusted text."""

    revision: Revision
    author_name: str
    author_email: str
    committer_email: str
    co_authors: tuple[str, ...] = ()
    """E-mail addresses of `Co-authored-by` trailers."""
    committed_at: str
    """ISO 8601 with offset."""
    subject: str

    @property
    def people(self) -> frozenset[str]:
        """Everyone who may not approve this commit, in lower case."""
        names = {self.author_name, self.author_email, self.committer_email, *self.co_authors}
        return frozenset(name.lower() for name in names if name)


class Snapshot(Contract):
    """The files of one revision in the content store."""

    commit: Commit
    tree: Digest
    """Address of the tree manifest: JSON `{path: {"mode": "100644", "digest": ..., "size": n}}`."""
    files: int
    bytes: int

    @property
    def revision(self) -> str:
        """The snapshot's full commit id."""
        return self.commit.revision
