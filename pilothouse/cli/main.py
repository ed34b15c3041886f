"""The `pilothouse` command: thin over the library and the workflows."""

import logging

import structlog
import typer

from pilothouse.cli import manifests, runs, services
from pilothouse.cli.console import INTERRUPTED, err

app = typer.Typer(
    name="pilothouse",
    help="Durable AI agents for GitOps, on Temporal.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(services.demo)
app.command("up")(services.up)
app.command("down")(services.down)
app.command("doctor")(services.doctor)
app.command("worker")(services.worker)
app.command("bridge")(services.bridge)
app.command("validate")(manifests.validate)
app.command("plan")(manifests.plan)
app.command("deploy")(runs.deploy)
app.command("status")(runs.status)
app.command("approve")(runs.approve)
app.command("reject")(runs.reject)
app.command("rollback")(runs.rollback)


def main() -> None:
    """Run the command."""
    # What the library logs is for servers; a command says what it has to say by itself.
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)
    try:
        app()
    except KeyboardInterrupt:
        err.print("interrupted")
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    main()
