"""demo, up, down, doctor, worker, bridge: the services of one machine, and ours alone."""

import asyncio
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilothouse.cli.console import (
    ANSWER_IS_NO,
    WRONG_USE,
    Output,
    clear_errors,
    fail,
    print_json,
    say,
)

if TYPE_CHECKING:
    from pilothouse.bridge.configuration import BridgeConfiguration

OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text or json.")]
Kubeconfig = Annotated[
    Path | None, typer.Option(help="Deploy to this cluster instead of the embedded one.")
]
Context = Annotated[str, typer.Option(help="The kubeconfig's context; default: its current one.")]


def demo(
    wait: Annotated[
        bool | None,
        typer.Option(help="Keep the services until Enter; default: in a terminal only."),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            metavar="local|PROVIDER:MODEL",
            help="Let validator and deployer ask a model; local: a tiny one on this machine.",
        ),
    ] = "",
) -> None:
    """Tell the whole story on embedded services: pull request, deployment, approval, rollback.

    Example: pilothouse demo
    """
    from pilothouse.cli.demo.story import tell

    keep = sys.stdin.isatty() and sys.stdout.isatty() if wait is None else wait
    with clear_errors():
        succeeded = asyncio.run(tell(keep=keep, model=model))
    if not succeeded:
        raise typer.Exit(ANSWER_IS_NO)


def up(kubeconfig: Kubeconfig = None, context: Context = "") -> None:
    """Start the embedded services and leave them running, with the example repository in them.

    Example: pilothouse up
    """
    from pilothouse.cli.demo.standing import start

    with clear_errors():
        asyncio.run(start(kubeconfig=kubeconfig, context=context))


def down() -> None:
    """Stop the services that `pilothouse up` started. Their state stays for the next `up`.

    Example: pilothouse down
    """
    from pilothouse.cli.demo.standing import stop

    with clear_errors():
        asyncio.run(stop())


def doctor(output: OutputOption = Output.text) -> None:
    """Say what this machine has, and where the control plane would come from.

    Example: pilothouse doctor --output json
    """
    from pilothouse.cli.doctor import examine

    with clear_errors():
        checks = asyncio.run(examine())
    if output is Output.json:
        print_json([check._asdict() for check in checks])
    else:
        for check in checks:
            mark = {True: "ok", False: "no", None: "?"}[check.ok]
            say(f"{mark:>3}  {check.name}: {check.detail}")
    if any(check.needed and check.ok is False for check in checks):
        raise typer.Exit(ANSWER_IS_NO)


def worker(
    queue: Annotated[list[str], typer.Option(help="Serve only this task queue; repeatable.")] = [],  # noqa: B006
    agents_queue: Annotated[
        list[str], typer.Option(help="Serve the `task_queue` of some agents; repeatable.")
    ] = [],  # noqa: B006
) -> None:
    """Serve the task queues; the same as `python -m worker`.

    Example: pilothouse worker --queue pilothouse --queue pilothouse-git
    """
    # The worker stands above the library, so it is run as a program, never imported.
    served = [*(("--queue", name) for name in queue)]
    served += [("--agents-queue", name) for name in agents_queue]
    sys.argv = ["worker", *(part for pair in served for part in pair)]
    runpy.run_module("worker", run_name="__main__", alter_sys=True)


def bridge(
    repositories: Annotated[
        Path, typer.Option(help="YAML or JSON: {repositories: [{url, default_branch, ...}]}.")
    ],
    webhook_secret_file: Annotated[
        Path | None, typer.Option(help="Live secrets of all repositories, one a line.")
    ] = None,
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8420,
    allowed_host: Annotated[
        list[str], typer.Option(help="A name in the Host header that is answered; repeatable.")
    ] = [],  # noqa: B006
) -> None:
    """Take webhooks and hand them to the repositories' workflows.

    Example: pilothouse bridge --repositories repositories.yaml --webhook-secret-file secret
    """
    from pilothouse.bridge.server import run_bridge
    from pilothouse.clients.logging import configure_logging
    from pilothouse.clients.settings import read_settings

    with clear_errors():
        settings = read_settings()
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        configuration = _bridge_configuration(
            settings.data_dir / "webhooks.db", repositories, webhook_secret_file, allowed_host
        ).model_copy(update={"host": host, "port": port})
        configure_logging(
            settings.log_level,
            json=settings.log_format == "json",
            secrets=[secret.get_secret_value() for secret in configuration.all_secrets()],
        )
        asyncio.run(run_bridge(configuration))


def _bridge_configuration(
    journal: Path, repositories: Path, secret_file: Path | None, allowed_hosts: list[str]
) -> "BridgeConfiguration":
    from pilothouse.bridge.configuration import (
        BridgeConfiguration,
        load_repositories,
        load_secrets,
    )

    watched = load_repositories(repositories)
    if not watched:
        fail(f"{repositories} lists no repository", WRONG_USE)
    hosts = {"allowed_hosts": tuple(allowed_hosts)} if allowed_hosts else {}
    return BridgeConfiguration(
        journal=journal,
        repositories=watched,
        secrets=load_secrets(secret_file) if secret_file else (),
        repositories_source=str(repositories),
        **hosts,
    )
