"""`python -m pilothouse.local.git_server`: the Git server as a process of its own."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from pydantic import SecretStr

from pilothouse.local.git_server.server import GitServer
from pilothouse.models.errors import PermanentError


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    try:
        asyncio.run(_serve(_options().parse_args()))
    except PermanentError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pilothouse.local.git_server")
    parser.add_argument("--directory", type=Path, required=True, help="where repositories are")
    parser.add_argument("--port", type=int, default=0, help="on loopback; 0 takes a free one")
    parser.add_argument(
        "--create", action="append", default=[], metavar="NAME", help="a repository"
    )
    parser.add_argument("--webhook-url", help="who is told of pushes")
    parser.add_argument("--webhook-secret-file", type=Path, help="holds the signatures' key")
    return parser


async def _serve(options: argparse.Namespace) -> None:
    server = GitServer(
        options.directory,
        port=options.port,
        webhook_url=options.webhook_url,
        webhook_secret=_secret(options.webhook_secret_file),
    )
    for name in options.create:
        server.create(name)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stopping.set)
    async with server:
        await stopping.wait()


def _secret(path: Path | None) -> SecretStr | None:
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError("InvalidRequest", f"{path} cannot be read: {error}") from None
    # One a line while a secret is rotated: receivers take each, we sign with the newest.
    secrets = [line.strip() for line in lines if line.strip()]
    if not secrets:
        raise PermanentError("InvalidRequest", f"{path} holds no secret")
    return SecretStr(secrets[0])


if __name__ == "__main__":
    sys.exit(main())
