"""Credentials replaced by placeholders that say what stood there."""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

from pilothouse.gitops.redaction.objects import redact_secret_objects
from pilothouse.gitops.redaction.rules import KEYED, WHOLE, Rule, secret_span

MIN_KNOWN_LENGTH: Final = 6
"""Shorter known values are not searched for: they would blot out innocent text."""
_KNOWN: Final = "known"
_PLACEHOLDER: Final = re.compile(r"<REDACTED:[^<>]*>\W*")
_ESCAPED: Final = re.compile(r"\\{1,8}([nrt])")
"""Line ends and tabs in a JSON string, which may be one within another."""
_STRING_END: Final = re.compile(r"\"(?=\s{0,8}[,}\]:])")


class Redacted(NamedTuple):
    """A text without its credentials, and how many of each kind there were."""

    text: str
    found: Mapping[str, int]
    """Rule -> how often. Fit for an audit: it holds nothing of the text."""


class Redactor:
    """Replaces each credential by `<REDACTED:rule:hash8>`; the same value has the same hash.

    The placeholder says what was there, so that a model neither takes it for the value nor "fixes"
    it. The hash is keyed by the values that this process holds: by anything that others can know,
    they could try weak passwords until one fits. A process that holds none shows no hash.
    """

    def __init__(self, known: Iterable[str] = (), *, salt: str = "") -> None:
        """Prepare.

        Args:
            known: values that this process holds; they are hidden wherever they stand.
            salt: e.g. the id of a run. Equal values are told as equal within it only.
        """
        # The longest first: a secret that holds another is hidden whole.
        values = sorted({each for each in known if len(each) >= MIN_KNOWN_LENGTH}, key=len)
        self._known = re.compile("|".join(map(re.escape, reversed(values)))) if values else None
        material = "\0".join([salt, *values]).encode("utf-8", "replace")
        self._key = blake2b(material, digest_size=32).digest() if values else None

    def redact(self, text: str) -> Redacted:
        r"""Hide what looks like a credential. Idempotent; linear in the text.

        JSON holds files and logs as strings, whose lines end in `\n`: where only the lines show
        that there is a credential, they become lines.
        """
        plain = self._redact(text)
        lines = _ESCAPED.sub(lambda end: "\t" if end[1] == "t" else "\n", plain.text)
        if lines == plain.text:
            return plain
        # A line ends with its string, or what stands in the next one would pass for its value.
        unfolded = self._redact(_STRING_END.sub('"\n', lines))
        if not unfolded.found:
            return plain
        return Redacted(unfolded.text, Counter(plain.found) + Counter(unfolded.found))

    def _redact(self, text: str) -> Redacted:
        found: Counter[str] = Counter()

        def hide(rule: str, secret: str) -> str:
            if _PLACEHOLDER.fullmatch(secret):
                return secret
            found[rule] += 1
            if self._key is None:
                return f"<REDACTED:{rule}>"
            digest = blake2b(secret.encode("utf-8", "replace"), key=self._key, digest_size=4)
            return f"<REDACTED:{rule}:{digest.hexdigest()}>"

        def replace(rule: Rule, match: re.Match[str]) -> str:
            span = secret_span(match)
            if span is None:
                return match[0]
            start, end = span[0] - match.start(), span[1] - match.start()
            return match[0][:start] + hide(rule.name, match[0][start:end]) + match[0][end:]

        if self._known:
            text = self._known.sub(lambda match: hide(_KNOWN, match[0]), text)
        text = redact_secret_objects(text, hide)
        folded = text.lower()
        for rule in (*WHOLE, *KEYED):
            if any(hint in folded for hint in rule.hints):
                text = rule.pattern.sub(functools.partial(replace, rule), text)
        return Redacted(text, dict(found))
