"""Record a provider's replies, and replay them without it: real conversations, no key, no cost."""

import os
import tempfile
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from pilothouse.clients.models.provider import Prompt, Provider, Reply
from pilothouse.models.errors import PermanentError
from pilothouse.models.objects import canonical_json


class RecordingProvider:
    """Asks another provider, and keeps each reply under the digest of its question."""

    def __init__(self, inner: Provider, folder: Path) -> None:
        self._inner = inner
        self._folder = folder

    async def complete(self, prompt: Prompt) -> Reply:
        """Ask the other provider; see `Provider.complete`."""
        reply = await self._inner.complete(prompt)
        path = self._folder / recording_name(prompt)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=self._folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(reply.model_dump_json(indent=2) + "\n")
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
        return reply


class ReplayProvider:
    """Says again what was recorded for exactly this question."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def complete(self, prompt: Prompt) -> Reply:
        """Find the recording; see `Provider.complete`.

        Raises:
            PermanentError: `ModelRefused`, this question was never recorded.
        """
        path = self._folder / recording_name(prompt)
        try:
            return Reply.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise PermanentError(
                "ModelRefused",
                f"{self._folder} holds no {path.name}: prompts, tools or earlier replies changed "
                "since; record again",
            ) from None
        except ValidationError:
            raise PermanentError("ModelRefused", f"the recording {path} is damaged") from None


def recording_name(prompt: Prompt) -> str:
    """The file of a question: a digest of all that the model is told, not of how long it may."""
    told = {
        "conversation": prompt.conversation.settled().model_dump(mode="json"),
        "tools": [tool.model_dump(mode="json") for tool in prompt.tools],
        "result": prompt.result.model_dump(mode="json"),
        "force_result": prompt.force_result,
        "max_output_tokens": prompt.max_output_tokens,
    }
    return f"{sha256(canonical_json(told)).hexdigest()[:32]}.json"
