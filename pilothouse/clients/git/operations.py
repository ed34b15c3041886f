"""Finding a commit of ours again by the operation that it carries out."""

import re
from typing import Final

from pilothouse.clients.git.border import checked_revision
from pilothouse.clients.git.exchange import ensure
from pilothouse.clients.git.mirror import Mirror, MirrorDamagedError
from pilothouse.clients.git.mirrors import GitMirrors
from pilothouse.models.errors import PermanentError
from pilothouse.models.repository import RepositoryRef

TRAILER: Final = "Pilothouse-Operation"
_OPERATION: Final = re.compile(r"[0-9a-f]{16,64}")


class OperationMirrors(GitMirrors):
    """Git mirrors that know which operations a branch already holds.

    The branch itself remembers what was done: no journal beside it can disagree. The trailer says
    that a repeated request needs no second commit, and nothing else; anyone can write one.
    """

    def find_operation(self, repository: RepositoryRef, head: str, operation: str) -> str | None:
        """The newest commit at or below `head` that carries the operation's trailer. Idempotent.

        Raises:
            PermanentError: `InvalidRequest`, the operation is no id; `RevisionNotFound`.
        """
        head = checked_revision(head)
        if not _OPERATION.fullmatch(operation):
            raise PermanentError("InvalidRequest", "an operation's id is hexadecimal")

        def find(mirror: Mirror) -> str | None:
            ensure(mirror, head)
            finished = mirror.run(
                "log",
                "--max-count=1",
                "--format=%H",
                f"--grep=^{TRAILER}: {operation}$",
                "--end-of-options",
                head,
            )
            if finished.code != 0:
                raise MirrorDamagedError(finished.error)
            return finished.out.decode("ascii").strip() or None

        return self._on(repository, find)
