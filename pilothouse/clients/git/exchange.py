"""What a mirror and its server say to each other: heads, fetches, pushes."""

import re

from pilothouse.clients.git.failures import lacks_object
from pilothouse.clients.git.mirror import KEPT, REMOTE, Mirror
from pilothouse.clients.git.process import Finished
from pilothouse.models.errors import PermanentError, TemporaryError

_MOVED = re.compile(
    r"\[rejected\]|\[remote rejected\].*\((cannot lock ref|failed to update ref|incorrect old value"
    r"|failed to lock|fetch first|non-fast-forward)",
    re.IGNORECASE,
)
_DECLINED = re.compile(r"\[remote rejected\].*\((?P<why>[^)]*)\)", re.IGNORECASE)
_REMOTE_WORDS = re.compile(r"^remote: ?(.*)$", re.MULTILINE)
_SERVER_IN_TROUBLE = re.compile(r"unpacker error|internal|timed? ?out|try again", re.IGNORECASE)
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")


def read_head(mirror: Mirror, ref: str) -> str | None:
    """Ask the server where a ref points; of an annotated tag, the commit that it names."""
    wanted = [ref, f"{ref}^{{}}"] if ref.startswith("refs/tags/") else [ref]
    finished = mirror.exchange("ls-remote", "--quiet", "--end-of-options", mirror.url, *wanted)
    if finished.code != 0:
        raise mirror.failure(finished)
    # Git matches the ends of names, so that more may come than was asked for.
    lines = finished.out.decode(errors="replace").splitlines()
    found = {name: oid for oid, _, name in (line.partition("\t") for line in lines)}
    return found.get(f"{ref}^{{}}") or found.get(ref)


def holds(mirror: Mirror, revision: str) -> bool:
    """Whether the mirror has a commit with all that belongs to it.

    Not whether it has the object: only a ref, which Git writes last, says that the rest is there.
    """
    known = ("--not", f"--glob={KEPT}*", f"--glob={REMOTE}*")
    finished = mirror.run("rev-list", "--max-count=1", f"{revision}^{{commit}}", *known)
    return finished.code == 0 and not finished.out.strip()


def ensure(mirror: Mirror, *revisions: str) -> None:
    """Fetch the revisions that the mirror lacks: each by its id, else all that the server shows.

    Raises:
        PermanentError: `RevisionNotFound`, the server does not have one, or it is no commit.
    """
    for revision in revisions:
        if holds(mirror, revision):
            continue
        with mirror.locked():
            # Somebody else may have fetched it while we waited.
            if not holds(mirror, revision):
                _fetch(mirror, revision)
            mirror.tidy()


def is_ancestor(mirror: Mirror, ancestor: str, descendant: str) -> bool:
    """Whether one commit of the mirror can be reached from another."""
    finished = mirror.run("merge-base", "--is-ancestor", "--end-of-options", ancestor, descendant)
    if finished.code not in {0, 1}:
        raise mirror.failure(finished)
    return finished.code == 0


def publish(mirror: Mirror, ref: str, revision: str, expected: str | None) -> None:
    """Move a ref forward from where it is expected; success if it is already there.

    Raises:
        PermanentError: `RepositoryRefused`, no descendant of `expected`, or declined.
        TemporaryError: `BranchMoved`; `RepositoryUnavailable`, also if the commit is not here.
    """
    current = read_head(mirror, ref)
    if current == revision:
        return
    if current != expected:
        raise TemporaryError(
            "BranchMoved", f"{ref} is at {current or 'nothing'}, not at {expected or 'nothing'}"
        )
    if not holds(mirror, revision):
        raise TemporaryError(
            "RepositoryUnavailable", f"{revision} is not in the mirror any more: build it again"
        )
    if expected:
        ensure(mirror, expected)
        if not is_ancestor(mirror, expected, revision):
            raise PermanentError(
                "RepositoryRefused", f"{revision} does not stand on {expected}: not pushed"
            )
    refusal = _push(mirror, ref, revision, expected)
    # Two of us may push the same commit at once: the one that loses has what it wanted.
    if refusal is not None and read_head(mirror, ref) != revision:
        raise refusal


def _push(
    mirror: Mirror, ref: str, revision: str, expected: str | None
) -> PermanentError | TemporaryError | None:
    """Move a ref from where we know it to be; returns why the server did not.

    The caller has made sure that `revision` stands on `expected`: the lease alone would let a
    branch lose commits.
    """
    finished = mirror.exchange(
        "push",
        "--porcelain",
        "--no-verify",
        f"--force-with-lease={ref}:{expected or ''}",
        "--end-of-options",
        mirror.url,
        f"{revision}:{ref}",
    )
    return None if finished.code == 0 else _refusal(mirror, finished, ref)


def _fetch(mirror: Mirror, revision: str) -> None:
    exact = f"+{revision}:{KEPT}{revision}"
    finished = mirror.exchange(*_FETCH, "--end-of-options", mirror.url, exact)
    if finished.code != 0 and lacks_object(finished):
        # Some servers give out only what a ref names, or hide the rest behind one.
        everything = f"+refs/*:{REMOTE}*"
        finished = mirror.exchange(*_FETCH, "--prune", "--end-of-options", mirror.url, everything)
    if finished.code != 0:
        raise mirror.failure(finished)
    if not holds(mirror, revision):
        raise PermanentError(
            "RevisionNotFound",
            f"the repository has no commit {revision}: was the branch deleted or forced?",
        )


def _refusal(mirror: Mirror, finished: Finished, ref: str) -> PermanentError | TemporaryError:
    answer = finished.out.decode(errors="replace")
    declined = _DECLINED.search(answer)
    if _MOVED.search(answer):
        return TemporaryError("BranchMoved", f"{ref} moved while we pushed")
    if declined is None:
        return mirror.failure(finished)
    words = " ".join([declined["why"], *_REMOTE_WORDS.findall(finished.error)])
    said = mirror.scrubber.clean(words)
    if _SERVER_IN_TROUBLE.search(declined["why"]):
        return TemporaryError("RepositoryUnavailable", f"the server could not take it: {said}")
    return PermanentError("RepositoryRefused", f"the server declines the push to {ref}: {said}")
