"""One simulated container: a small state machine that is moved by the clock alone.

    blocked -> creating -> running -> exited -> backoff -> running ...
                  |  ^                  |
                  v  |                  +-> done
        config_error, pull_error <-> pull_backoff

Times are seconds since the epoch, given by the caller. Nothing here reads a clock or does I/O.
"""

from dataclasses import dataclass, field
from typing import Literal

from pilothouse.local.nodes.pods.behavior import Script
from pilothouse.local.nodes.pods.declaration import ContainerSpec, Exit
from pilothouse.local.nodes.pods.effects import Effects, EventType, LogLine, PodEvent
from pilothouse.local.nodes.pods.timing import (
    COMPLETE_SECONDS,
    CRASH_SECONDS,
    CREATE_SECONDS,
    INIT_SECONDS,
    LINGER_SECONDS,
    PULL_ERROR_SECONDS,
    RETRY_SECONDS,
    SLOW_START_SECONDS,
    UNHEALTHY_FIRST_SECONDS,
    UNHEALTHY_SECONDS,
    backoff,
)

Stage = Literal[
    "blocked",
    "creating",
    "config_error",
    "pull_error",
    "pull_backoff",
    "running",
    "exited",
    "backoff",
    "done",
]

SIGTERM_EXIT_CODE = 143


@dataclass
class ContainerMachine:
    """A container's state; `advance` moves it when `due` has come."""

    spec: ContainerSpec
    script: Script
    stage: Stage = "blocked"
    due: float | None = None
    message: str = ""
    """Why it waits, where that needs saying."""
    restarts: int = 0
    failures: int = 0
    """In a row, of starting or running: what back-off grows with."""
    started_at: float = 0.0
    ready: bool = False
    exit: Exit | None = None
    """Of the present instance, once it ended."""
    last_exit: Exit | None = None
    """Of the instance before."""
    _exit_at: float | None = field(default=None, repr=False)
    _ready_at: float | None = field(default=None, repr=False)
    _unhealthy_at: float | None = field(default=None, repr=False)

    @property
    def running(self) -> bool:
        """An instance is there and has not ended."""
        return self.stage == "running"

    @property
    def passed(self) -> bool:
        """What comes after it in its pod may start."""
        if self.spec.role == "sidecar":
            return self.started_at > 0
        return self.stage == "done" and self.exit is not None and self.exit.code == 0

    def begin(self, now: float) -> None:
        """Leave `blocked`: everything before it in its pod is done."""
        self.stage = "creating"
        self.due = now + CREATE_SECONDS

    def advance(self, now: float, problem: str, effects: Effects) -> None:
        """Take every step that is due.

        Args:
            now: the time; nothing happens before `due`.
            problem: what keeps the container from being created, empty if nothing does.
            effects: receives events and log lines.
        """
        while self.due is not None and self.due <= now:
            self._STEPS[self.stage](self, now, problem, effects)

    def adopt(self, script: Script, now: float) -> None:
        """Play another part from now on, without a restart: the annotations have changed."""
        changed = (script.behavior, script.exit_code) != (
            self.script.behavior,
            self.script.exit_code,
        )
        self.script = script
        if changed:
            self.failures = 0
            if self.running:
                self._plan(now)

    def stop(self, now: float, effects: Effects, code: int = SIGTERM_EXIT_CODE) -> None:
        """End for good: its pod is being deleted, or a sidecar is no longer needed."""
        if self.running:
            message = f"Stopping container {self.spec.name}"
            self._event(effects, "Normal", "Killing", message)
            self._end(now, code, "Completed" if code == 0 else "Error")
        self.stage = "done" if self.exit else "blocked"
        self.due = None
        self.ready = False

    def resume(self, started_at: float, ready: bool, now: float) -> None:
        """Take over an instance that an earlier simulator started."""
        self.stage = "running"
        self.started_at = started_at
        self._plan(now)
        if ready and self._ready_at is not None:
            self._ready_at = now  # it does not become unready because we were away
            self._set_due()

    def conclude(self, ended: Exit, now: float) -> None:
        """Take over an instance that ended under an earlier simulator."""
        self.exit = ended
        self.started_at = ended.started_at
        self.failures = self.restarts
        self._settle_exit(now)

    def _launch(self, now: float, problem: str, effects: Effects) -> None:
        """Start an instance, or say what keeps it from starting."""
        if problem:
            self.stage = "config_error"
            self.message = problem
            self.due = now + RETRY_SECONDS
            self._event(effects, "Warning", "Failed", f"Error: {problem}")
        elif self.script.behavior == "image-pull":
            self._fail_pull(now, effects)
        else:
            self._run(now, effects)

    def _fail_pull(self, now: float, effects: Effects) -> None:
        image = self.spec.image
        self.stage = "pull_error"
        self.due = now + PULL_ERROR_SECONDS
        self.message = (
            f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": '
            "not found (simulated)"
        )
        self._event(effects, "Normal", "Pulling", f'Pulling image "{image}"')
        self._event(effects, "Warning", "Failed", f'Failed to pull image "{image}": {self.message}')
        self._event(effects, "Warning", "Failed", "Error: ErrImagePull")

    def _after_pull_error(self, now: float, problem: str, effects: Effects) -> None:
        self.failures += 1
        self.stage = "pull_backoff"
        self.due = now + backoff(self.failures)
        self.message = f'Back-off pulling image "{self.spec.image}": ErrImagePull: {self.message}'
        self._event(effects, "Normal", "BackOff", f'Back-off pulling image "{self.spec.image}"')
        self._event(effects, "Warning", "Failed", "Error: ImagePullBackOff")

    def _run(self, now: float, effects: Effects) -> None:
        if self.exit is not None:
            self.last_exit, self.exit = self.exit, None
            self.restarts += 1
        name, image = self.spec.name, self.spec.image
        pulled = f'Simulated the image "{image}": nothing was pulled'
        self._event(effects, "Normal", "Pulled", pulled)
        self._event(effects, "Normal", "Created", f"Created container: {name}")
        self._event(effects, "Normal", "Started", f"Started container {name}")
        self.stage = "running"
        self.message = ""
        self.started_at = now
        self._plan(now)
        behavior = self.script.behavior
        self._say(
            now,
            effects,
            f"simulated container: no image was run (container={name} image={image} "
            f"behavior={behavior} node={self.spec.node} restarts={self.restarts})",
        )
        if behavior != "crash-loop":
            self._say(now, effects, *self.script.log)

    def _plan(self, now: float) -> None:
        """Decide what comes next for an instance that runs."""
        behavior = self.script.behavior
        self._exit_at = self._ready_at = self._unhealthy_at = None
        self.ready = False
        if behavior in {"crash-loop", "oom"}:
            # Never ready in between: a program that dies at its start fails a rollout at once.
            self._exit_at = now + CRASH_SECONDS
        elif behavior == "not-ready":
            self._unhealthy_at = now + UNHEALTHY_FIRST_SECONDS
        elif behavior == "slow-start":
            self._unhealthy_at = now + UNHEALTHY_FIRST_SECONDS
            self._ready_at = now + SLOW_START_SECONDS
        else:
            self._ready_at = now + self.spec.ready_after
        if self._exit_at is None and self._ends_by_itself and behavior != "not-ready":
            slow = SLOW_START_SECONDS if behavior == "slow-start" else 0.0
            brief = INIT_SECONDS if self.spec.role == "init" else COMPLETE_SECONDS
            self._exit_at = now + slow + brief
        self._set_due()

    @property
    def _ends_by_itself(self) -> bool:
        return self.spec.role == "init" or (
            self.spec.role == "main" and self.spec.restart != "Always"
        )

    def _set_due(self) -> None:
        moments = (self._exit_at, self._ready_at, self._unhealthy_at)
        self.due = min((moment for moment in moments if moment is not None), default=None)

    def _while_running(self, now: float, problem: str, effects: Effects) -> None:
        if self._exit_at is not None and self._exit_at <= now:
            self._exit(now, effects)
            return
        if self._ready_at is not None and self._ready_at <= now:
            self._ready_at = self._unhealthy_at = None
            # Readiness means nothing for what runs before the pod's own containers.
            self.ready = self.spec.role != "init"
        if self._unhealthy_at is not None and self._unhealthy_at <= now:
            self._unhealthy_at = now + UNHEALTHY_SECONDS
            message = "Readiness probe failed: HTTP probe failed with statuscode: 503"
            self._event(effects, "Warning", "Unhealthy", message)
        self._set_due()

    def _exit(self, now: float, effects: Effects) -> None:
        if self.script.behavior == "oom":
            self._say(now, effects, "simulated failure: killed, out of memory")
            self._end(now, 137, "OOMKilled")
        else:
            crash = self.script.behavior == "crash-loop"
            code = self.script.exit_code
            code = int(crash) if code is None else code
            if crash:
                failure = f"simulated failure: exiting with code {code}"
                self._say(now, effects, *(self.script.log or (failure,)))
            self._end(now, code, "Completed" if code == 0 else "Error")
        self._settle_exit(now)

    def _settle_exit(self, now: float) -> None:
        if self._restarts_after_exit:
            self.failures += 1
            self.stage = "exited"
            self.due = now + LINGER_SECONDS
        else:
            self.stage = "done"
            self.due = None

    @property
    def _restarts_after_exit(self) -> bool:
        if self.spec.restart == "OnFailure":
            return self.exit is not None and self.exit.code != 0
        return self.spec.restart == "Always"

    def _end(self, now: float, code: int, reason: str) -> None:
        self.exit = Exit(code, reason, self.started_at, now, self.restarts)
        self.stage = "done"
        self.due = None
        self.ready = False

    def _after_exit(self, now: float, problem: str, effects: Effects) -> None:
        delay = backoff(self.failures)
        self.stage = "backoff"
        self.due = now - LINGER_SECONDS + delay
        name, pod = self.spec.name, self.spec.pod
        self.message = f"back-off {delay:.0f}s restarting failed container={name} pod={pod}"
        message = f"Back-off restarting failed container {name} in pod {pod}"
        self._event(effects, "Warning", "BackOff", message)

    def _event(self, effects: Effects, type: EventType, reason: str, message: str) -> None:
        effects.events.append(PodEvent(type, reason, message, self.spec.field_path))

    def _say(self, now: float, effects: Effects, *lines: str) -> None:
        name, instance = self.spec.name, self.restarts
        effects.logs.extend(LogLine(name, instance, now, line) for line in lines)

    _STEPS = {
        "creating": _launch,
        "config_error": _launch,
        "pull_error": _after_pull_error,
        "pull_backoff": _launch,
        "running": _while_running,
        "exited": _after_exit,
        "backoff": _launch,
    }
