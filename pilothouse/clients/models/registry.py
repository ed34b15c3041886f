"""From `provider:model` in the pipeline file to the provider that answers."""

import re
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx2

from pilothouse.clients.models.faults import Server
from pilothouse.clients.models.provider import Provider
from pilothouse.clients.models.recordings import RecordingProvider, ReplayProvider
from pilothouse.clients.models.scripted import Script, ScriptedProvider
from pilothouse.clients.models.transport import model_http_client
from pilothouse.clients.settings import ModelEndpoint, Settings
from pilothouse.models.errors import PermanentError

KNOWN = ("anthropic", "openai", "scripted", "record", "replay")
_ENDPOINTS_VARIABLE = "PILOTHOUSE_MODEL_ENDPOINTS"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_MODEL = re.compile(r"[!-~]{1,200}")
"""A model's name: visible ASCII, as all providers have it; it goes into JSON, never into a URL."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Providers:
    """The providers of one worker, over one HTTP client. Close it at the end.

    The pipeline file names a provider and a model; where it is and which key opens it stand in the
    worker's settings. Nothing in Git can name a URL, a key or a path.

    Raises:
        PermanentError: `InvalidRequest`, a name in `model_endpoints` cannot be one.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http: httpx2.AsyncClient | None = None
        self._known: dict[str, Provider] = {}
        self._lock = Lock()
        for name in settings.model_endpoints:
            if name in KNOWN or not _NAME.fullmatch(name):
                raise PermanentError(
                    "InvalidRequest",
                    f"{_ENDPOINTS_VARIABLE}: {name[:80]!r} cannot be a name; use letters, digits, "
                    f"`_` and `-`, and none of {', '.join(KNOWN)}",
                )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        if self._http is not None:
            await self._http.aclose()

    def provider_for(self, model: str) -> Provider:
        """The provider of `provider:model`, made at its first use.

        Blocks for seconds when it first imports an SDK: call it in a thread.

        Raises:
            PermanentError: `ModelRefused`, there is no such provider, or its settings are not
                complete; the message says which variable to set.
        """
        with self._lock:
            if model not in self._known:
                self._known[model] = self._make(model)
            return self._known[model]

    def _make(self, model: str) -> Provider:
        kind, _, rest = model.partition(":")
        if not rest or not _MODEL.fullmatch(model):
            raise _refused(f"{model[:200]!r} is no model: write {self._forms()}")
        match kind:
            case "anthropic":
                return self._anthropic(rest)
            case "openai":
                return self._openai(rest)
            case "scripted":
                path = self._folder(self._settings.model_scripts, "scripts", rest)
                return ScriptedProvider(Script.read(path.with_suffix(".yaml")), name=rest)
            case "record":
                name, _, inner = rest.partition(":")
                folder = self._folder(self._settings.model_recordings, "recordings", name)
                if inner.startswith(("record:", "replay:")):
                    raise _refused(f"{model!r} records a recording")
                return RecordingProvider(self._make(inner), folder)
            case "replay":
                return ReplayProvider(
                    self._folder(self._settings.model_recordings, "recordings", rest)
                )
            case _ if kind in self._settings.model_endpoints:
                return self._endpoint(kind, rest, self._settings.model_endpoints[kind])
            case _:
                raise _refused(f"there is no model provider {kind!r}: write {self._forms()}")

    def _forms(self) -> str:
        names = [*KNOWN, *sorted(self._settings.model_endpoints)]
        return f"`provider:model` with one of the providers {', '.join(names)}"

    def _anthropic(self, model: str) -> Provider:
        from pilothouse.clients.models.anthropic_api import AnthropicProvider  # 1.7 s of CPU

        server = Server(
            name="anthropic",
            key_variable="PILOTHOUSE_ANTHROPIC_API_KEY",
            url_variable="PILOTHOUSE_ANTHROPIC_BASE_URL",
        )
        secret = self._settings.anthropic_api_key
        key = secret.get_secret_value() if secret else ""
        if not key:
            raise _no_key(server)
        base_url = self._settings.anthropic_base_url
        _check_url(server, base_url, key)
        return AnthropicProvider(
            model, server=server, base_url=base_url, key=key, http=self._client()
        )

    def _openai(self, model: str) -> Provider:
        server = Server(
            name="openai",
            key_variable="PILOTHOUSE_OPENAI_API_KEY",
            url_variable="PILOTHOUSE_OPENAI_BASE_URL",
        )
        secret = self._settings.openai_api_key
        key = secret.get_secret_value() if secret else ""
        if not key and not self._settings.openai_base_url:
            raise _no_key(server)
        endpoint = ModelEndpoint(base_url=self._settings.openai_base_url, api_key=secret)
        return self._compatible(model, server, endpoint)

    def _endpoint(self, name: str, model: str, endpoint: ModelEndpoint) -> Provider:
        server = Server(
            name=name, key_variable=_ENDPOINTS_VARIABLE, url_variable=_ENDPOINTS_VARIABLE
        )
        if not endpoint.base_url:
            raise _refused(f"{_ENDPOINTS_VARIABLE} gives {name} no base_url")
        return self._compatible(model, server, endpoint)

    def _compatible(self, model: str, server: Server, endpoint: ModelEndpoint) -> Provider:
        try:
            from pilothouse.clients.models.openai_api import OpenAIProvider  # 0.7 s of CPU
        except ModuleNotFoundError as error:
            if error.name != "openai":
                raise
            raise _refused(
                f"{server.name} needs the extra: pip install 'pilothouse[openai]'"
            ) from None
        key = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
        _check_url(server, endpoint.base_url, key)
        return OpenAIProvider(
            model,
            server=server,
            base_url=endpoint.base_url,
            key=key,
            http=self._client(),
            most_tokens=endpoint.max_output_tokens,
        )

    def _client(self) -> httpx2.AsyncClient:
        if self._http is None:
            proxy = self._settings.model_proxy
            self._http = model_http_client(proxy.get_secret_value() if proxy else None)
        return self._http

    def _folder(self, folder: Path | None, kind: str, name: str) -> Path:
        if folder is None:
            raise _refused(f"set PILOTHOUSE_MODEL_{kind.upper()} to the folder of {kind}")
        if not _NAME.fullmatch(name):
            raise _refused(f"{name[:80]!r} names no {kind}: use letters, digits, `_` and `-`")
        return folder / name


def _check_url(server: Server, base_url: str, key: str) -> None:
    """Refuse addresses that would send a key in the clear, or that hold one."""
    if not base_url:
        return
    url = urlsplit(base_url)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise _refused(f"{server.url_variable} is no http or https URL")
    if url.username or url.password:
        raise _refused(f"{server.url_variable} holds credentials: set {server.key_variable}")
    if key and url.scheme == "http" and url.hostname not in _LOOPBACK:
        raise _refused(f"{server.url_variable} would send the key in the clear: use https")


def _no_key(server: Server) -> PermanentError:
    return _refused(f"{server.name} needs a key: set {server.key_variable} for the agents worker")


def _refused(message: str) -> PermanentError:
    return PermanentError("ModelRefused", message)
