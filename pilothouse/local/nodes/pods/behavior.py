"""Which part each container plays, chosen by annotation or by a reserved image name.

Annotations on the pod (a Deployment's pod template, say):

- `simulator.pilothouse.dev/behavior`: one of `BEHAVIORS`, for all containers but init containers;
- `simulator.pilothouse.dev/behavior.<container>`: the same for one container, init or not;
- `simulator.pilothouse.dev/log`: lines to print; a crashing container prints them last;
- `simulator.pilothouse.dev/exit-code`: what a container that ends by itself exits with.

Without annotation, the image `simulated.invalid/<behavior>` chooses; no other image name means
anything. `.invalid` is reserved (RFC 2606), so no real image is ever misread.
"""

from dataclasses import dataclass
from typing import Literal, cast, get_args

from pilothouse.local.nodes.pods.documents import Document

Behavior = Literal["run", "crash-loop", "image-pull", "not-ready", "oom", "slow-start"]
BEHAVIORS: tuple[str, ...] = get_args(Behavior)

PREFIX = "simulator.pilothouse.dev/"
RESERVED_IMAGES = "simulated.invalid/"
MAX_LOG_LINES = 1000


@dataclass(frozen=True)
class Script:
    """What one container will do."""

    behavior: Behavior = "run"
    log: tuple[str, ...] = ()
    exit_code: int | None = None
    """None: the behavior's own, 0 for `run` and 1 for `crash-loop`."""
    problem: str = ""
    """What in the annotations was not understood, for an event; the default is played instead."""


def script_for(pod: Document, container: Document, init: bool) -> Script:
    """Read a container's part from its pod's annotations and its image."""
    annotations: dict[str, str] = pod["metadata"].get("annotations") or {}
    behavior, problem = _behavior(annotations, container, init)
    exit_code, exit_problem = _exit_code(annotations.get(PREFIX + "exit-code"))
    return Script(
        behavior=behavior,
        log=() if init else tuple(_lines(annotations.get(PREFIX + "log", ""))),
        exit_code=None if init else exit_code,
        problem=problem or ("" if init else exit_problem),
    )


def _behavior(annotations: dict[str, str], container: Document, init: bool) -> tuple[Behavior, str]:
    for key in (f"behavior.{container['name']}", *(() if init else ("behavior",))):
        chosen = annotations.get(PREFIX + key)
        if chosen is None:
            continue
        if chosen in BEHAVIORS:
            return cast(Behavior, chosen), ""
        known = ", ".join(BEHAVIORS)
        return "run", f"annotation {PREFIX}{key} is not one of {known}: running normally"
    return _by_image(container.get("image", "")), ""


def _by_image(image: str) -> Behavior:
    if not image.startswith(RESERVED_IMAGES):
        return "run"
    first = image.removeprefix(RESERVED_IMAGES).split("/")[0].split("@")[0].split(":")[0]
    return cast(Behavior, first) if first in BEHAVIORS else "run"


def _exit_code(text: str | None) -> tuple[int | None, str]:
    if text is None:
        return None, ""
    if text.isascii() and text.isdigit() and int(text) <= 255:
        return int(text), ""
    return None, f"annotation {PREFIX}exit-code is not a number from 0 to 255: ignored"


def _lines(text: str) -> list[str]:
    return text.splitlines()[-MAX_LOG_LINES:]
