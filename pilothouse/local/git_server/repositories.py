"""Bare repositories under one directory, and the hooks that make them a forge's."""

import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pilothouse.models.errors import PermanentError

DELIVERIES = ".deliveries"
"""The folder for webhooks that wait; no repository's name can begin with a dot."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_PROTECTED = "protected-branches"

# Exact commits may be fetched by their id, as forges allow it.
_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
[uploadpack]
\tallowAnySHA1InWant = true
\tallowFilter = true
[receive]
\tfsckObjects = true
\tautogc = false
[gc]
\tauto = 0
"""

# Runs inside `git push`, so it only writes down what happened: no network, no interpreter to
# start. The name is made final by a rename; the server never reads half a file.
_POST_RECEIVE = """\
#!/bin/sh
# Written by Pilothouse's Git server at each start; edits are lost.
umask 077
cd {spool} || exit 1
file=$(mktemp incoming.XXXXXXXXXX) || exit 1
{{ printf '%s\\n' {name} && cat; }} >"$file" && mv "$file" "pending/${{file#incoming.}}"
"""

_UPDATE = f"""\
#!/bin/sh
# Written by Pilothouse's Git server at each start; edits are lost.
if [ -f {_PROTECTED} ] && grep -qxF -e "${{1#refs/heads/}}" {_PROTECTED}; then
    echo "The branch ${{1#refs/heads/}} is protected: open a pull request." >&2
    exit 1
fi
"""


class Repositories:
    """The bare repositories of one directory, `<name>.git` or `<owner>/<name>.git`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        for folder in (self.pending, self.failed):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def pending(self) -> Path:
        """Pushes whose webhooks are not delivered yet, one file each."""
        return self._directory / DELIVERIES / "pending"

    @property
    def failed(self) -> Path:
        """Pushes whose webhooks nobody took."""
        return self._directory / DELIVERIES / "failed"

    @property
    def delivery_log(self) -> Path:
        """One line of JSON for each attempt to deliver."""
        return self._directory / DELIVERIES / "log.jsonl"

    def create(self, name: str, *, default_branch: str = "main") -> Path:
        """Make an empty repository and return its folder; one that exists is left as it is.

        Raises:
            PermanentError: `InvalidRequest`, the name or branch is not allowed.
        """
        path = self._path(name)
        _checked(default_branch, "branch")
        if path.exists():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=self._directory))
        for folder in ("objects/pack", "objects/info", "refs/heads", "info", "hooks"):
            (temporary / folder).mkdir(parents=True)
        (temporary / "HEAD").write_text(f"ref: refs/heads/{default_branch}\n", encoding="utf-8")
        (temporary / "config").write_text(_CONFIG, encoding="utf-8")
        self._install_hooks(name, temporary)
        try:
            temporary.rename(path)
        except OSError:
            shutil.rmtree(temporary)
            if not path.exists():
                raise
        return path

    def find(self, name: str) -> Path | None:
        """Return a repository's folder, or None: unknown names and impossible ones alike."""
        try:
            path = self._path(name)
        except PermanentError:
            return None
        return path if (path / "HEAD").is_file() else None

    def protect(self, name: str, branch: str) -> None:
        """Refuse every push to a branch from now on.

        Raises:
            PermanentError: `InvalidRequest`, no such repository, or not a branch's name.
        """
        path = self.find(name)
        if path is None:
            raise PermanentError("InvalidRequest", f"there is no repository {name!r}")
        with (path / _PROTECTED).open("a", encoding="utf-8") as file:
            file.write(f"{_checked(branch, 'branch')}\n")

    def refresh(self) -> None:
        """Write every repository's hooks again: the directory may have been moved."""
        for name, path in self._all():
            self._install_hooks(name, path)

    def _all(self) -> Iterator[tuple[str, Path]]:
        for pattern in ("*.git", "*/*.git"):
            for path in self._directory.glob(pattern):
                name = path.relative_to(self._directory).as_posix().removesuffix(".git")
                if self.find(name) == path:
                    yield name, path

    def _path(self, name: str) -> Path:
        if name.count("/") > 1 or name.endswith(".git"):
            raise PermanentError("InvalidRequest", "a repository is called name or owner/name")
        return self._directory / f"{_checked(name, 'repository')}.git"

    def _install_hooks(self, name: str, path: Path) -> None:
        spool = shlex.quote(str(self._directory / DELIVERIES))
        hooks = {
            "post-receive": _POST_RECEIVE.format(spool=spool, name=shlex.quote(name)),
            "update": _UPDATE,
        }
        for hook, text in hooks.items():
            file = path / "hooks" / hook
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
            file.chmod(0o755)


def _checked(name: str, what: str) -> str:
    if len(name) > 200 or not all(_NAME.fullmatch(part) for part in name.split("/")):
        raise PermanentError("InvalidRequest", f"{name[:200]!r} is no name for a {what}")
    return name
