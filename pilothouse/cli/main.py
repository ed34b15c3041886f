"""The `pilothouse` command: thin over the library and the workflows."""

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
    try:
        app()
    except KeyboardInterrupt:
        err.print("interrupted")
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    main()
