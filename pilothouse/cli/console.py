"""What the command says, and how it ends.

Exit codes, for scripts: 0 all is well; 1 it was done and the answer is no (findings that block, a
deployment that failed); 2 wrong use; 3 a service that is needed cannot be reached; 130 interrupted.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from pilothouse.models.base import explain
from pilothouse.models.errors import PermanentError, TemporaryError

ANSWER_IS_NO = 1
WRONG_USE = 2
UNREACHABLE = 3
INTERRUPTED = 130

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class Output(StrEnum):
    """How a command prints its answer."""

    text = "text"
    json = "json"


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def say(text: str = "") -> None:
    """A line for people; nothing in it is markup."""
    out.print(text, markup=False)


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong on standard error and end."""
    err.print(f"pilothouse: {message}", markup=False)
    raise typer.Exit(code)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn the errors that people can do something about into one line and an exit code."""
    try:
        yield
    except ValidationError as error:
        fail(explain(error), WRONG_USE)
    except TemporaryError as error:
        fail(str(error), UNREACHABLE)
    except PermanentError as error:
        fail(str(error), WRONG_USE if error.type == "InvalidRequest" else ANSWER_IS_NO)
