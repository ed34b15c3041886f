"""A command's exit code is its own, also after it talked to Temporal."""

import subprocess
import sys
from typing import Any

import pytest

from pilothouse.clients.temporal.leaving import leave

TALKED = "import sys, temporalio.client; from pilothouse.clients.temporal.leaving import leave; "


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [("None", 0, ""), ("0", 0, ""), ("3", 3, ""), ("'what is wrong'", 1, "what is wrong\n")],
)
def test_a_process_ends_with_its_code_and_all_that_it_said(
    code: str, status: int, words: str
) -> None:
    program = f"{TALKED}sys.stdout.write('said'); leave(SystemExit({code}))"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, "said", words)


def test_a_process_that_never_loaded_the_sdk_ends_as_usual(monkeypatch: Any) -> None:
    monkeypatch.delitem(sys.modules, "temporalio.bridge.temporal_sdk_bridge", raising=False)
    with pytest.raises(SystemExit) as end:
        leave(SystemExit(2))
    assert end.value.code == 2
