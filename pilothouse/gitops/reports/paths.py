"""Files of a validated folder as the repository around it names them."""

import posixpath


def placed(file: str, base: str) -> str:
    """A file's path from the repository's root.

    Args:
        file: its path below the validated folder.
        base: that folder's path below the repository's root; empty if it is the root.
    """
    return posixpath.normpath(posixpath.join(base, file)) if base else file
