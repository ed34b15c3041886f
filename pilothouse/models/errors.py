"""Two errors decide retry, and the wire types that workflows branch on.

A `PermanentError` will not go away by itself: the stage ends and says why. A `TemporaryError` may:
Temporal tries again. Adapters raise them where the fact is known; `activities.errors` maps them
once to Temporal's own.
"""

from datetime import timedelta
from typing import Literal

ErrorType = Literal[
    "InvalidManifests",
    "RevisionNotFound",
    "RepositoryUnavailable",
    "RepositoryRefused",
    "RegistryUnavailable",
    "BranchMoved",
    "RevertConflict",
    "ClusterUnavailable",
    "ClusterRefused",
    "Fenced",
    "PruneBudget",
    "DigestMismatch",
    "StoreMiss",
    "TestSandboxFailed",
    "InvalidRequest",
    "DecisionRefused",
    "TemporalUnavailable",
    "LocalServiceFailed",
    "ModelUnavailable",
    "ModelRefused",
    "ToolUnavailable",
    "ToolRefused",
]
"""The `type` of each ApplicationError that can reach a history or the sender of an update.

Documented in docs/reference.
"""


class PermanentError(Exception):
    """Retries are useless: the message says what a person must change."""

    def __init__(self, type: ErrorType, message: str) -> None:
        super().__init__(message)
        self.type: ErrorType = type


class TemporaryError(Exception):
    """It may work later; `delay`, if given, is how long the other side asked us to wait."""

    def __init__(
        self,
        type: ErrorType,
        message: str,
        delay: timedelta | None = None,
    ) -> None:
        super().__init__(message)
        self.type: ErrorType = type
        self.delay = delay
