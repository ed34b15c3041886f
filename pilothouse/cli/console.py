"""What the command says, and how it ends.

Exit codes, for scripts: 0 all is well; 1 it was done and the answer is no (findings that block, a
deployment that failed); 2 wrong use; 3 a service that is needed cannot be reached; 130 interrupted.
"""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import NoReturn

import typer

from pilothouse.models.errors import PermanentError, TemporaryError

ANSWER_IS_NO = 1
WRONG_USE = 2
UNREACHABLE = 3
INTERRUPTED = 130

_INVISIBLE = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)
"""What a terminal obeys or hides: outside text must not move the cursor or turn a line around."""


class Output(StrEnum):
    """How a command prints its answer."""

    text = "text"
    json = "json"


def print_json(value: object) -> None:
    """One JSON document on standard output; characters that cannot be seen are escaped in it."""
    sys.stdout.write(_INVISIBLE.sub(_escaped, json.dumps(value, ensure_ascii=False)) + "\n")


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def say(text: str = "", style: str = "") -> None:
    """A line for people; nothing in it is markup, and a style shows on a terminal only."""
    if not style or not sys.stdout.isatty():
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        return
    from rich.console import Console  # Here: it takes longer than most of what is said.

    Console(highlight=False, soft_wrap=True).print(text, markup=False, emoji=False, style=style)


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong on standard error and end."""
    sys.stderr.write(f"pilothouse: {message}\n")
    raise typer.Exit(code)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn the errors that people can do something about into one line and an exit code."""
    from pydantic import ValidationError  # Here: an answer from the cache needs no model.

    try:
        yield
    except ValidationError as error:
        from pilothouse.models.base import explain

        fail(explain(error), WRONG_USE)
    except TemporaryError as error:
        fail(str(error), UNREACHABLE)
    except PermanentError as error:
        fail(str(error), WRONG_USE if error.type == "InvalidRequest" else ANSWER_IS_NO)
