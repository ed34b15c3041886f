"""The short form of the pipeline file: a trigger, and what is done then, in order."""

from typing import Annotated

from pydantic import Field, field_validator

from pilothouse.models.base import Declaration
from pilothouse.models.notation import written

OPENINGS = ("pull_request", "push", "manual")
_ENVIRONMENT = r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?"
ACTION = rf"(validate|test|monitor)(_[a-z0-9_-]+)?|deploy_to_{_ENVIRONMENT}"
"""`validate`, `test` and `monitor` may say of what: those words are for people."""

Opening = Annotated[
    str, written(rf"(webhook\.)?({'|'.join(OPENINGS)})", "pull_request", "push", "manual")
]
Action = Annotated[
    str,
    written(ACTION, "validate_model", "test", "deploy_to_staging"),
]


class ShortForm(Declaration):
    """A pipeline in few words. It means the same as a pipeline in full, and no more."""

    trigger: Opening | tuple[Opening, ...]
    """One or several of `pull_request`, `push` and `manual`."""
    actions: tuple[Action, ...] = Field(min_length=1)
    """In order: `validate`, `test`, `deploy_to_<environment>`, `monitor`."""

    @field_validator("trigger")
    @classmethod
    def _known_triggers(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for trigger in (value,) if isinstance(value, str) else value:
            if trigger.removeprefix("webhook.") not in OPENINGS:
                raise ValueError(
                    f"{trigger!r} is not a trigger of the short form: use one or several of "
                    f"{', '.join(OPENINGS)}"
                )
        return value

    @property
    def triggers(self) -> tuple[str, ...]:
        """The triggers as the full form names them."""
        given = (self.trigger,) if isinstance(self.trigger, str) else self.trigger
        plain = [each.removeprefix("webhook.") for each in given]
        return tuple(dict.fromkeys(e if e == "manual" else f"webhook.{e}" for e in plain))


class ShortFormFile(Declaration):
    """The document itself."""

    workflow: ShortForm
