"""The files of a folder on this machine, for whoever named it."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from pilothouse.models.errors import PermanentError

MOST_BYTES = 8 * 1024 * 1024
"""Of one file. A person's own folder is trusted more than a pull request: large dashboards are fine
there."""
_MOST_FILES = 50_000


class FolderFiles(Mapping[str, bytes]):
    """The regular files below a folder, read when they are asked for.

    Links are neither followed nor listed, hidden folders not entered, and pipes, sockets and
    devices not opened: what is read stands in the folder itself. `left_out` has the links.
    """

    def __init__(self, root: Path, only: str | None = None) -> None:
        self._root = root
        self.left_out: dict[str, str] = {}
        """Path -> what stands there instead of a file, e.g. `a symbolic link`."""
        self._paths = dict.fromkeys([only] if only is not None else self._walk())

    def _walk(self) -> Iterator[str]:
        count = 0
        for folder, folders, names in os.walk(self._root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted([*names, *folders]):
                path = Path(folder, name)
                mode = path.lstat().st_mode
                if stat.S_ISLNK(mode):
                    self.left_out[path.relative_to(self._root).as_posix()] = "a symbolic link"
                if not stat.S_ISREG(mode):
                    continue
                count += 1
                if count > _MOST_FILES:
                    raise PermanentError(
                        "InvalidRequest",
                        f"{self._root} holds more than {_MOST_FILES:,} files; name a folder of "
                        "manifests",
                    )
                yield path.relative_to(self._root).as_posix()

    def __getitem__(self, path: str) -> bytes:
        if path not in self._paths:
            raise KeyError(path)
        # The file may have become a link or a pipe since it was listed.
        try:
            descriptor = os.open(self._root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise PermanentError(
                "InvalidRequest", f"{self._root / path} cannot be read: {error.strerror}"
            ) from error
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise KeyError(path)
            # One byte beyond the bound, so that the loader says that the file is too large.
            return file.read(MOST_BYTES + 1)

    def __contains__(self, path: object) -> bool:
        return path in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)
