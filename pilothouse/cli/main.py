"""The `pilothouse` command: thin over the library and the workflows."""

import gc
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from pilothouse.cli.cached import CACHED, run_cached
from pilothouse.clients.temporal.leaving import leave

if TYPE_CHECKING:
    import typer

COMMANDS = {
    "demo": "services:demo",
    "up": "services:up",
    "down": "services:down",
    "doctor": "services:doctor",
    "worker": "services:worker",
    "bridge": "services:bridge",
    "validate": "validate:validate",
    "rules": "rules:rules",
    "plan": "plan:plan",
    "drift": "drift:drift",
    "health": "health:health",
    "deploy": "runs:deploy",
    "status": "runs:status",
    "approve": "runs:approve",
    "reject": "runs:reject",
    "rollback": "runs:rollback",
    "owner": "ownership:owner",
    "pipeline": "pipeline:app",
    "workspace": "workspace:app",
    "agents": "agents:app",
}
"""Command -> module in `pilothouse.cli`, and function or group of commands. Only the module of the
command that is asked for is imported: of a short command's time the imports are the most."""
_SILENT = frozenset({"pipeline", "rules", "validate"})
"""What they run logs nothing, so that the logging library need not be imported to quieten it."""


def application(*wanted: str) -> "typer.Typer":
    """The command line, with these commands only, or with all of them."""
    import typer  # Here: an answer from the cache needs no parser.

    app = typer.Typer(
        name="pilothouse",
        help="Durable AI agents for GitOps, on Temporal.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    # With a callback one command alone is still named on the command line.
    app.callback()(_without_options)
    for name in wanted or COMMANDS:
        found = _imported(COMMANDS[name])
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _without_options() -> None:
    """The command itself takes no options: its commands do."""


def _imported(where: str) -> "Callable[..., None] | typer.Typer":
    module, _, name = where.partition(":")
    found: Callable[..., None] | typer.Typer = getattr(
        import_module(f"pilothouse.cli.{module}"), name
    )
    return found


def main() -> None:
    """Run the command."""
    try:
        _main()
    except SystemExit as end:
        leave(end)


def _main() -> None:
    words = sys.argv[1:]
    command = next((word for word in words if not word.startswith("-")), "")
    try:
        if command in CACHED:
            raise SystemExit(run_cached(words, lambda: _run(command)))
        _run(command)
    except KeyboardInterrupt:
        from pilothouse.cli.console import INTERRUPTED

        sys.stderr.write("interrupted\n")
        raise SystemExit(INTERRUPTED) from None


def _run(command: str) -> None:
    # A command is over soon, and manifests are many small objects without cycles: to look for some
    # at Python's own pace takes a seventh of the time.
    gc.set_threshold(50_000, 20, 20)
    if command not in _SILENT:
        _quieten_library()
    app = application(command) if command in COMMANDS else application()
    app()


def _quieten_library() -> None:
    """What the library logs is for servers; a command says what it has to say by itself."""
    import logging

    import structlog

    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)


if __name__ == "__main__":
    main()
