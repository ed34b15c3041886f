"""The local model's server: where it comes from, what agents are told of it, how it ends."""

import json
import sys
import tomllib
from pathlib import Path

import pytest

from pilothouse.local import model_server
from pilothouse.local.model_server import LocalModel, ModelServer, find_local_model
from pilothouse.models.errors import PermanentError

DOUBLE = """\
#!{python}
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

options = dict(zip(sys.argv[1::2], sys.argv[2::2]))

class Health(BaseHTTPRequestHandler):
    looks = 0

    def do_GET(self):
        Health.looks += 1
        self.send_response(200 if self.path == "/health" and Health.looks > 1 else 503)
        self.end_headers()

HTTPServer((options["--host"], int(options["--port"])), Health).serve_forever()
"""


def program(folder: Path, text: str) -> LocalModel:
    path = folder / "llama-server"
    path.write_text(text.format(python=sys.executable), encoding="utf-8")
    path.chmod(0o700)
    return LocalModel(path, folder / "tiny.gguf")


async def test_agents_are_told_where_it_is_once_it_has_loaded_the_model(tmp_path: Path) -> None:
    server = ModelServer(tmp_path / "model", model=program(tmp_path, DOUBLE))
    await server.start()
    try:
        given = server.settings()
    finally:
        await server.stop()
    endpoint = json.loads(given["PILOTHOUSE_MODEL_ENDPOINTS"])["local"]
    assert endpoint["base_url"] == server.base_url
    assert endpoint["max_output_tokens"] < model_server.CONTEXT_TOKENS / 4
    prices = tomllib.loads(Path(given["PILOTHOUSE_MODEL_PRICES"]).read_text(encoding="utf-8"))
    assert prices == {"price": [{"model": "local:*", "input": 0, "output": 0}]}


async def test_a_server_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    broken = program(tmp_path, "#!{python}\nimport sys\nsys.exit('error: no such model')\n")
    with pytest.raises(PermanentError, match="no such model"):
        await ModelServer(tmp_path / "model", model=broken).start()


def test_without_the_packages_it_is_said_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_server, "find_spec", lambda _: None)
    with pytest.raises(PermanentError, match="make demo MODEL=local"):
        find_local_model()
