"""Who may say something about which repository: HMAC-SHA256 over the raw body, and nothing else."""

import hmac
import re
from collections.abc import Iterable

from pilothouse.bridge.configuration import BridgeConfiguration, WatchedRepository

_SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}")


class Keyring:
    """The live webhook secrets and what each may speak for.

    The repository's name stands in the body, and the body is not read before it is verified: so a
    signature is checked against every secret first, and the name against what the secret opened
    after. A repository with secrets of its own is never opened by another's.
    """

    def __init__(self, configuration: BridgeConfiguration) -> None:
        shared = [secret.get_secret_value() for secret in configuration.secrets]
        opens: dict[str, set[str]] = {secret: set() for secret in shared}
        for watched in configuration.repositories:
            own = [secret.get_secret_value() for secret in watched.secrets]
            for secret in own or shared:
                opens.setdefault(secret, set()).add(watched.key)
        self._opens = {secret.encode(): frozenset(names) for secret, names in opens.items()}

    def verify(self, body: bytes, signature: str) -> "Opened | None":
        """Return what the signature of `X-Hub-Signature-256` opens, or None if it is not ours.

        Every secret is tried, whichever fits: the time taken tells nothing.
        """
        given = signature if _SIGNATURE.fullmatch(signature) else ""
        matched: list[frozenset[str]] = []
        for secret, names in self._opens.items():
            expected = "sha256=" + hmac.digest(secret, body, "sha256").hex()
            if hmac.compare_digest(expected.encode(), given.encode()):
                matched.append(names)
        return Opened(matched) if matched else None


class Opened:
    """The repositories that a verified body may speak of."""

    def __init__(self, names: Iterable[frozenset[str]]) -> None:
        self._names = frozenset().union(*names)

    def covers(self, watched: WatchedRepository) -> bool:
        """Whether the secret is one of this repository's."""
        return watched.key in self._names
