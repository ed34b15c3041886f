"""What of a difference may be shown: never the value of a Secret, nor what looks like one."""

import re
from typing import Final

from pydantic import JsonValue

from pilothouse.gitops.plan.comparison import Difference
from pilothouse.gitops.plan.pointers import Pattern, steps_of
from pilothouse.gitops.redaction import Redactor
from pilothouse.models.objects import FieldChange, canonical_json

MASK: Final = "(masked)"
"""Stands where a value that may be secret stood."""

_REDACTOR: Final = Redactor()
_SECRET_NAME: Final = re.compile(
    r"passw(or)?d|passphrase|secret|token|credential|connection_?-?string|(^|[^a-z])dsn([^a-z]|$)"
    r"|(api|auth|access|private|signing|encryption)_?-?key",
    re.IGNORECASE,
)
_NAME_OF_A_SECRET: Final = re.compile(
    r"(name|namespace|ref|file|path|mount|url|seconds|ttl|expiry|policy|type|class|enabled|count)s?$",
    re.IGNORECASE,
)
"""A name that ends so says where a secret is or how long it lives, not what it is."""
_SECRET_MAPS: Final = frozenset({"data", "stringData"})


def shown(difference: Difference, *, secret: bool) -> FieldChange:
    """A difference as it may leave: masked where a value may be secret.

    Args:
        difference: with its raw values.
        secret: whether the object is a Secret: then nothing of its data is shown.
    """
    masker = _Masker(secret)
    steps = steps_of(difference.path)
    before = masker.value(difference.before, steps, difference.owner)
    after = masker.value(difference.after, steps, difference.owner)
    # In Python `1 == True`, so equality alone does not say that the masked forms are one.
    one = before == after and canonical_json(before) == canonical_json(after)
    hidden = MASK in (before, after) or (difference.kind == "replace" and one)
    return FieldChange(
        path=difference.path,
        title=difference.title,
        kind=difference.kind,
        before=None if hidden else before,
        after=None if hidden else after,
        masked=hidden,
    )


def shown_whole(body: JsonValue, *, secret: bool) -> JsonValue:
    """A whole object as it may be shown."""
    return _Masker(secret).value(body, (), "")


class _Masker:
    def __init__(self, secret: bool) -> None:
        self._secret = secret

    def value(self, value: JsonValue, steps: Pattern, owner: str) -> JsonValue:
        """A copy of what stands at a place, each value that may be secret replaced by `MASK`."""
        if isinstance(value, dict):
            name = str(value.get("name", ""))
            return {key: self.value(item, (*steps, key), name) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, (*steps, str(i)), "") for i, item in enumerate(value)]
        if value is None or isinstance(value, bool):
            return MASK if value is not None and self._is_of_a_secret(steps) else value
        if self._is_of_a_secret(steps) or _is_secret_place(steps, owner):
            return MASK
        return _REDACTOR.redact(value).text if isinstance(value, str) else value

    def _is_of_a_secret(self, steps: Pattern) -> bool:
        if not self._secret or not steps:
            return False
        return steps[0] in _SECRET_MAPS or steps[:2] == ("metadata", "annotations")


def _is_secret_place(steps: Pattern, owner: str) -> bool:
    """Whether the key says so, or, of a variable's `value`, the variable's name."""
    if not steps:
        return False
    return _looks_secret(steps[-1]) or (steps[-1] == "value" and _looks_secret(owner))


def _looks_secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _NAME_OF_A_SECRET.search(name)
