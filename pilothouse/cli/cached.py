"""Run a command, or print what it said about the same files before.

Looked up by the words of the command line, before a parser or a model is imported: most of the time
of a short command goes into its imports.
"""

import io
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime

from pilothouse.clients.answer_cache import Answer, AnswerCache, key_of
from pilothouse.clients.environment import cache_dir

CACHED = frozenset({"validate"})
"""Commands whose answer depends on nothing but what `key_of` covers."""
NO_CACHE = "--no-cache"


def run_cached(words: Sequence[str], run: Callable[[], None]) -> int:
    """Run a command, and keep its answer if it has one.

    Args:
        words: the command line without the program.
        run: the command; ends by `SystemExit` or returns.

    Returns:
        The exit code.
    """
    if NO_CACHE in words:
        return _exit_code(run)
    cache = AnswerCache(cache_dir() / "answers")
    key = _key(words)
    answer = cache.get(key) if key else None
    if answer is None:
        said, complained = io.StringIO(), io.StringIO()
        try:
            with redirect_stdout(said), redirect_stderr(complained):
                exit_code = _exit_code(run)
        finally:
            sys.stderr.write(complained.getvalue())
        answer = Answer(said.getvalue(), exit_code)
        # A complaint is no answer; and files that changed meanwhile are not the key's.
        if key and not complained.getvalue() and exit_code in {0, 1} and key == _key(words):
            cache.put(key, answer)
    sys.stdout.write(answer.text)
    return answer.exit_code


def _key(words: Sequence[str]) -> str:
    return key_of(words, today=datetime.now(UTC).date())


def _exit_code(run: Callable[[], None]) -> int:
    try:
        run()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0
