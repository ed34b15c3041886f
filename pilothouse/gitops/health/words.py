"""What the words of controllers mean: phases, states, reasons and messages.

Controllers share a vocabulary, not a schema. A word is looked up as a whole first; then its parts
are read, as English writes them: a failure is named by its stem, and what goes on by its gerund.
"""

import re
from functools import lru_cache
from typing import Final

from pilothouse.models.health import HealthStatus


def vocabulary(line: str) -> frozenset[str]:
    """The words of a line."""
    return frozenset(line.split())


_WORDS: Final[dict[HealthStatus, frozenset[str]]] = {
    "Healthy": vocabulary(
        "active alive allready applied asexpected available bound complete completed compliant"
        " connected created deployed done enabled established executed exists finished green"
        " healthy idle imported initialised initialized installed listening loaded merged normal"
        " ok online open operational passed passing programmed protected provisioned published"
        " ready reconciled registered running runningcompleted started stable succeed succeeded"
        " success successful successfully synced synchronized up updated upgraded uptodate valid"
        " validated verified yes true"
    ),
    "Progressing": vocabulary(
        "accepted allocated awaiting bootstrap canary expanding init inprogress new notinitialized"
        " notready notreconciled notstarted notsynced pend pending pendinginstall pendingrollback"
        " pendingupgrade planned queued released requested reset rollingupdate scheduled starting"
        " submitted unbound unscheduled upgradepending waitforfirstconsumer yellow"
    ),
    "Degraded": vocabulary(
        "aborted bad canceled cancelled crashed critical dead degraded down error errored expired"
        " failed failing failure false invalid killed lost no noncompliant"
        " notavailable nothealthy notok off offline partial partiallyfailed red rejected revoked"
        " rolledback stalled terminated timedout timeout unavailable undeployed unhealthy"
        " warning"
    ),
    "Suspended": vocabulary(
        "cordoned deactivated disabled halted hibernated hibernating inactive onhold pause paused"
        " scaledtozero sleeping stopped suspend suspended"
    ),
    "Missing": vocabulary("absent missing notfound"),
    "Unknown": vocabulary("inconclusive unknown undefined undetermined"),
}
_WHOLE: Final[dict[str, HealthStatus]] = {
    word: status for status, words in _WORDS.items() for word in words
}

_BAD: Final = re.compile(
    r"fail|error|^err|invalid|denied|reject|abort|crash|conflict|forbidden|unauthori[sz]ed"
    r"|unhealthy|unavailable|unreachable|unrecoverable|unschedulable|unsupported|unable|cannot"
    r"|misconfigur|mismatch|malformed|corrupt|broken|stuck|stalled|degraded|exceed|expired"
    r"|insufficient|incompatible|illegal|backoff|timeout|timedout|violat|noncompliant|blocked"
    r"|missing|notfound|not(allowed|permitted|supported|compliant|valid|set|controlled|authorized"
    r"|responding)|alreadyexists|^(lost|critical|limit|refused|panic|fatal|oom|bad|warning)$"
)
"""One token of a camel-case word, or two neighbours as one, that names a failure."""
_NOT_GERUNDS: Final = vocabulary(
    "according binding bindings during everything existing following listing matching missing"
    " nothing ping remaining ring routing running serving setting settings something string"
    " thing using warning mapping meeting working"
)
_STATES_OF_WAITING: Final = vocabulary(
    "await awaits inprogress later pending progress queued requested soon wait waits"
    " waitfor notyet rollingupdate"
)
_GOOD: Final = vocabulary(
    "available bound complete completed deployed healthy ok ready running success succeeded"
    " successful successfully succeed synced valid uptodate up established installed"
)
_RESTS: Final = vocabulary("hibernated paused suspended")
_NEGATIONS: Final = vocabulary("not no non never without isnt doesnt un")
_TOKEN: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_BAD_MESSAGE: Final = re.compile(
    r"\b(fail(s|ed|ure|ures|ing)?|errors?|invalid|denied|forbidden|unauthori[sz]ed|cannot|can't"
    r"|could not|couldn't|unable|rejected|refused|not found|does not exist|doesn't exist|no such"
    r"|unsupported|exceeded|expired|timed out|conflict(s|ing)?|missing|not allowed|not valid"
    r"|unhealthy|crash\w*|back-?off|insufficient|violat\w+|aborted|unreachable|unexpected"
    r"|not permitted|unknown field|duplicate|mismatch|quota)\b",
    re.IGNORECASE,
)
_FAILURE: Final = re.compile(r"\b(fail(s|ed|ure)?|errors?)\b", re.IGNORECASE)
_BUSY_MESSAGE: Final = re.compile(
    r"\b(wait(ing|s)?|await\w*|pending|in progress|progressing|not yet|yet to|still|being"
    r"|creating|updating|upgrading|deploying|provisioning|initiali[sz]ing|reconcil(ing|iation)"
    r"|scaling|starting|installing|issuing|rolling|queued|until|preparing)\b",
    re.IGNORECASE,
)


def squash(word: str) -> str:
    """The letters and digits alone, in lower case: `In-Progress` and `inProgress` are one word."""
    return "".join(letter for letter in word.lower() if letter.isalnum())


@lru_cache(maxsize=4096)
def tokens(word: str) -> tuple[str, ...]:
    """The words in a camel-case, snake-case or plain phrase, in lower case."""
    return tuple(token.lower() for token in _TOKEN.findall(word))


@lru_cache(maxsize=4096)
def read(phrase: str) -> HealthStatus | None:
    """What a phase, state or reason says.

    Returns:
        None if nothing in it can be read.
    """
    whole = _WHOLE.get(squash(phrase))
    return whole or _by_tokens(tokens(phrase))


def _by_tokens(parts: tuple[str, ...]) -> HealthStatus | None:
    good = False
    busy = False
    for index, part in enumerate(parts):
        before = parts[index - 1] if index else ""
        pair = before + part
        if before in {"no", "without", "zero"}:
            continue
        if _BAD.search(part) or (before and _BAD.search(pair) and not _BAD.search(before)):
            return "Degraded"
        busy = busy or is_gerund(part) or bool({part, pair} & _STATES_OF_WAITING)
        if part in _GOOD or pair in _GOOD:
            negated = before in _NEGATIONS
            good = good or not negated
            busy = busy or negated
        elif before in _NEGATIONS and part.endswith("ed"):
            busy = True
    if not busy and _RESTS & set(parts) and not _NEGATIONS & set(parts):
        return "Suspended"
    if busy:
        return "Progressing"
    return "Healthy" if good else None


def is_gerund(token: str) -> bool:
    """Whether a token names what goes on: English says it in the gerund."""
    return len(token) > 4 and token.endswith("ing") and token not in _NOT_GERUNDS


def names_failure(message: str) -> bool:
    """Whether a sentence says outright that something failed, and not only what it waits for."""
    return bool(_FAILURE.search(message[:400])) and read_message(message) == "Degraded"


def read_message(message: str) -> HealthStatus | None:
    """What the sentence beside a condition that is not true says; None if it does not tell."""
    head = message[:400]
    bad = _BAD_MESSAGE.search(head)
    busy = _BUSY_MESSAGE.search(head)
    if busy and (not bad or busy.start() < min(bad.start(), 12)):
        return "Progressing"
    return "Degraded" if bad else None
