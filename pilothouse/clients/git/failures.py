"""What Git's complaints mean: whether to try again, and what to tell a person."""

import re
from collections.abc import Iterable
from typing import Literal

from pilothouse.clients.git.process import Finished
from pilothouse.models.errors import PermanentError, TemporaryError

MAX_WORDS = 500
"""Characters of somebody else's text in a message of ours."""

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[^\x20-\x7e\u00a1-\u024f]")
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
_AUTHORIZATION = re.compile(r"(authorization:?\s*)?\b(basic|bearer|token)\s+\S+", re.IGNORECASE)

_REMOTE_WORDS = re.compile(r"^(remote|fatal: remote error):.*$", re.MULTILINE)
_NO_SUCH_OBJECT = re.compile(
    r"not our ref|couldn't find remote ref|does not allow request for unadvertised object"
    r"|no such remote ref|Server does not advertise",
    re.IGNORECASE,
)
_DAMAGED = re.compile(
    r"object file .* is empty|loose object .* is corrupt|inflate: data stream error"
    r"|unable to unpack|packfile .*(cannot be|does not match|is truncated|too short)"
    r"|pack has bad|index file .* (is too small|overflows)|wrong index|bad (tree )?object"
    r"|unable to (read|parse|find) |could not read [0-9a-f]{7,}|missing (tree|blob|commit)"
    r"|not a git repository|Unable to create '[^']*\.lock'|cannot lock ref|object corrupt"
    r"|invalid object|unable to (open|map|create) .*(pack|index)|file .*\.pack",
    re.IGNORECASE,
)

Meaning = Literal["refused", "absent", "moved", "unfit", "temporary"]

# In order; the first that fits decides. Anything else may go away by itself.
_MEANINGS: tuple[tuple[re.Pattern[str], Meaning], ...] = (
    (
        re.compile(
            r"Authentication failed|could not read (Username|Password)|returned error: 40[13]"
            r"|Permission denied|Host key verification failed|insufficient permission"
            r"|repository access denied|access denied|SSL certificate problem",
            re.IGNORECASE,
        ),
        "refused",
    ),
    (
        re.compile(
            r"repository '[^']*' not found|returned error: 4(04|10)|repository not found"
            r"|does not appear to be a git repository",
            re.IGNORECASE,
        ),
        "absent",
    ),
    (re.compile(r"returned error: 30\d|base from redirection", re.IGNORECASE), "moved"),
    (
        re.compile(
            r"fsck error|fsck_error|mismatched algorithms|transport '[^']*' not allowed"
            r"|did not send all necessary objects",
            re.IGNORECASE,
        ),
        "unfit",
    ),
)

_ADVICE: dict[Meaning, str] = {
    "refused": "the repository's server refuses us: check the credential that is configured for "
    "its host and what it may do",
    "absent": "the repository does not exist, or our credential may not see it",
    "moved": "the repository's server redirects, which is not followed: configure its new URL",
    "unfit": "the repository holds objects that Git's own checks refuse",
    "temporary": "the repository's server cannot be reached",
}


class Scrubber:
    """Takes secrets, control characters and length out of other people's words."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = tuple(words)

    def clean(self, text: str) -> str:
        """Return one line that is safe in a history, a log and a terminal."""
        for word in self._words:
            text = text.replace(word, "[hidden]")
        text = _CONTROL.sub(" ", text)
        text = _USERINFO.sub("", text)
        text = _AUTHORIZATION.sub("[hidden]", text)
        text = " ".join(text.split())
        return text if len(text) <= MAX_WORDS else f"{text[:MAX_WORDS]}..."


def lacks_object(finished: Finished) -> bool:
    """Whether the server says that it has no such object, or does not give it out by its id."""
    return bool(_NO_SUCH_OBJECT.search(finished.error))


def is_damaged(finished: Finished) -> bool:
    """Whether our own mirror is at fault, and not the other side."""
    ours = _REMOTE_WORDS.sub("", finished.error)
    return bool(_DAMAGED.search(ours)) and not lacks_object(finished)


def network_error(finished: Finished, scrubber: Scrubber) -> PermanentError | TemporaryError:
    """Turn a failed exchange with a server into what callers decide on."""
    if finished.timed_out:
        return TemporaryError(
            "RepositoryUnavailable", "the repository's server did not answer in time"
        )
    if finished.overflowed:
        return PermanentError("RepositoryRefused", "the repository's server sends too much")
    meaning = meaning_of(finished.error)
    message = f"{_ADVICE[meaning]}. Git says: {scrubber.clean(finished.error)}"
    if meaning == "temporary":
        return TemporaryError("RepositoryUnavailable", message)
    if meaning in {"absent", "moved"}:
        return PermanentError("RepositoryUnavailable", message)
    return PermanentError("RepositoryRefused", message)


def meaning_of(error: str) -> Meaning:
    """Classify what Git wrote."""
    for pattern, meaning in _MEANINGS:
        if pattern.search(error):
            return meaning
    return "temporary"
