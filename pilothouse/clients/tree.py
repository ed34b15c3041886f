"""The files of a snapshot in the content store, read when they are asked for."""

import json
from collections.abc import Iterator, Mapping

from pilothouse.clients.store import ContentStore

_EXECUTABLE = "100755"
_KINDS = {"120000": "a symbolic link", "160000": "a submodule"}


class StoredTree(Mapping[str, bytes]):
    """Path -> content of a snapshot's regular files; nothing is read before it is asked for.

    Symlinks, submodules and oversized files have no content in the store and are left out. Looking
    one up may raise what `ContentStore.get` raises: `StoreMiss` or `DigestMismatch`.
    """

    def __init__(self, store: ContentStore, tree: str) -> None:
        entries: dict[str, dict[str, str]] = json.loads(store.get(tree))
        self._store = store
        self._entries = {path: entry for path, entry in entries.items() if "digest" in entry}
        self._left_out = {
            path: _KINDS.get(entry["mode"], "a file above the limit of size")
            for path, entry in entries.items()
            if "digest" not in entry
        }

    @property
    def left_out(self) -> Mapping[str, str]:
        """What the snapshot has at other paths, and why it has no content: path -> `a ...`."""
        return self._left_out

    @property
    def executables(self) -> frozenset[str]:
        """The paths that Git marks as executable."""
        return frozenset(p for p, entry in self._entries.items() if entry["mode"] == _EXECUTABLE)

    def changed_since(self, other: "StoredTree") -> frozenset[str]:
        """The paths whose content the other tree does not have there."""
        return frozenset(
            path
            for path, entry in self._entries.items()
            if entry["digest"] != other._entries.get(path, {}).get("digest")
        )

    def __getitem__(self, path: str) -> bytes:
        return self._store.get(self._entries[path]["digest"])

    def __contains__(self, path: object) -> bool:
        return path in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
