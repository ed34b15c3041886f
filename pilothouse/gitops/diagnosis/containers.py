"""What is wrong with one container, from its status alone."""

from typing import Final, NamedTuple

from pilothouse.gitops.health.fields import LiveObject, at, mapping, number, objects, text
from pilothouse.models.health import Cause

FINAL_RESTARTS: Final = 2
"""A container that ended this often in one way will end so again."""

_IMAGE: Final = frozenset({
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
    "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed",
})  # fmt: skip
_IMAGE_FINAL: Final = _IMAGE - {"ErrImagePull", "RegistryUnavailable"}
"""The kubelet has tried and backed off, or will never try."""
_CONFIGURATION: Final = frozenset({
    "CreateContainerConfigError", "CreateContainerError", "RunContainerError",
    "PreCreateHookError", "PostStartHookError",
})  # fmt: skip


class Trouble(NamedTuple):
    """One container's trouble, or a whole pod's where `container` is empty."""

    cause: Cause
    summary: str
    final: bool
    pod: str
    container: str = ""
    detail: str = ""
    """The cluster's own words."""


def container_troubles(pod: LiveObject) -> list[Trouble]:
    """What is wrong with each container of a pod, in the order in which they start."""
    statuses = [
        *objects(pod, "status", "initContainerStatuses"),
        *objects(pod, "status", "containerStatuses"),
    ]
    found = (_trouble(pod, status) for status in statuses)
    return [trouble for trouble in found if trouble is not None]


def _trouble(pod: LiveObject, status: LiveObject) -> Trouble | None:
    return _ended(pod, status) or _waits(pod, status) or _unready(pod, status)


def _waits(pod: LiveObject, status: LiveObject) -> Trouble | None:
    reason = text(status, "state", "waiting", "reason")
    name, container = text(pod, "metadata", "name"), text(status, "name")
    detail = text(status, "state", "waiting", "message")
    if reason in _IMAGE:
        image = text(status, "image") or "its image"
        summary = f"Container {container} cannot pull {image} ({reason})."
        return Trouble("image_pull", summary, reason in _IMAGE_FINAL, name, container, detail)
    if reason in _CONFIGURATION:
        summary = f"Container {container} cannot be created ({reason})."
        return Trouble("bad_configuration", summary, True, name, container, detail)
    return None


def _ended(pod: LiveObject, status: LiveObject) -> Trouble | None:
    """A container that ended and is to run: by the end that we know of, this or the last one."""
    end = mapping(status, "state", "terminated") or mapping(status, "lastState", "terminated")
    if not end or status.get("ready") is True:
        return None
    restarts, code = number(status, "restartCount"), number(end, "exitCode")
    reason = text(end, "reason")
    waiting = text(status, "state", "waiting", "reason")
    if code == 0 and waiting != "CrashLoopBackOff":
        return None
    name, container = text(pod, "metadata", "name"), text(status, "name")
    never_again = text(pod, "spec", "restartPolicy") == "Never"
    # A container that runs again may get ready this time: it is not over while it runs.
    runs = at(status, "state", "running") is not None
    final = never_again or (restarts >= FINAL_RESTARTS and not runs)
    times = f"{restarts} restart{'' if restarts == 1 else 's'}"
    detail = text(end, "message") or text(status, "state", "waiting", "message")
    if reason == "OOMKilled":
        summary = f"Container {container} ran out of memory (exit code {code}, {times})."
        return Trouble("out_of_memory", summary, final, name, container, detail)
    what = "keeps crashing" if restarts >= FINAL_RESTARTS else "ended"
    why = f", {reason}" if reason not in {"", "Error"} else ""
    summary = f"Container {container} {what} with exit code {code} ({times}{why})."
    return Trouble("crash_loop", summary, final, name, container, detail)


def _unready(pod: LiveObject, status: LiveObject) -> Trouble | None:
    if status.get("ready") is True or at(status, "state", "running") is None:
        return None
    container, restarts = text(status, "name"), number(status, "restartCount")
    times = f" ({restarts} restarts)" if restarts else ""
    summary = f"Container {container} runs but is not ready{times}."
    return Trouble("not_ready", summary, False, text(pod, "metadata", "name"), container)
