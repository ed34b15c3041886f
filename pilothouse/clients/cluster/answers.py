"""What the API server says when it does not say yes, and which of it may pass by itself."""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, NamedTuple, Self

from pilothouse.gitops.diagnosis.text import quote
from pilothouse.gitops.health.fields import number, objects, text
from pilothouse.models.errors import PermanentError, TemporaryError

_NOT_IN_SCHEMA: Final = re.compile(r"field not declared in schema|failed to create typed patch")
"""Server-side apply answers 500 to a field that a kind does not have: it will never pass."""
_DENIED_BY_RBAC: Final = re.compile(r"\bcannot \w+ resource\b")


class ServerCause(NamedTuple):
    """One field's part in a refusal."""

    field: str
    """As the server writes it, e.g. `.spec.template.spec.containers[0].image`."""
    message: str
    reason: str


class Answer(NamedTuple):
    """An answer of the API server, the parts of a `Status` already read."""

    code: int
    data: bytes
    message: str = ""
    reason: str = ""
    causes: tuple[ServerCause, ...] = ()
    retry_after: float = 0.0
    """Seconds; 0 if the server named none."""

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may be answered differently later."""
        if self.code == 500 and _NOT_IN_SCHEMA.search(self.message):
            return False
        # 409 AlreadyExists and Conflict are facts that the caller must look at.
        return self.code in {408, 425, 429} or self.code >= 500


def read_status(code: int, headers: Mapping[str, str], data: bytes) -> Answer:
    """Read an answer; of a refusal also the `Status` object that explains it."""
    if 200 <= code < 300:
        return Answer(code, data)
    try:
        status = json.loads(data)
    except ValueError:
        status = {}
    message = text(status, "message") or data[:500].decode(errors="replace")
    causes = tuple(
        ServerCause(text(cause, "field"), text(cause, "message"), text(cause, "reason"))
        for cause in objects(status, "details", "causes")
    )
    header = headers.get("Retry-After", "")
    seconds = float(header) if header.isascii() and header.isdigit() else 0.0
    return Answer(
        code,
        data,
        message=message,
        reason=text(status, "reason"),
        causes=causes,
        retry_after=seconds or number(status, "details", "retryAfterSeconds"),
    )


class Refusal(Exception):
    """The API server will not do this. Stays inside this room: see `as_permanent`."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.code}: {quote(answer.message)}")
        self.answer = answer

    @property
    def code(self) -> int:
        """The HTTP status."""
        return self.answer.code

    @property
    def is_denied(self) -> bool:
        """Whether our permissions do not suffice; admission and quotas also answer 403."""
        denied = self.code == 403 and bool(_DENIED_BY_RBAC.search(self.answer.message))
        return denied or self.code == 401

    @property
    def is_missing_namespace(self) -> bool:
        """Whether not the object but its namespace is missing."""
        return self.code == 404 and self.answer.message.startswith('namespaces "')

    def as_permanent(self, doing: str) -> PermanentError:
        """The refusal for people: the server's words name verb, resource, namespace and user."""
        words = quote(self.answer.message)
        if self.code == 401:
            words = "the credential is not valid; renew the kubeconfig"
        elif self.is_denied:
            words += "; grant it in the Role of this environment, or leave the object out"
        elif self.is_missing_namespace:
            words += "; create the namespace first"
        return PermanentError("ClusterRefused", f"{doing}: {words}")

    @classmethod
    def local(cls, message: str) -> Self:
        """A refusal of our own, before anything was sent, in the same form."""
        return cls(Answer(404, b"", message=message, reason="NotFound"))


class Unavailable(TemporaryError):
    """`ClusterUnavailable`: no answer, or one that says to come back later."""

    def __init__(self, message: str, *, sent: bool, delay: timedelta | None = None) -> None:
        super().__init__("ClusterUnavailable", quote(message), delay)
        self.sent = sent
        """Whether the request may have reached the server: then its effect must be read back."""
