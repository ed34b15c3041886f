"""One simulated pod: its containers in order, from creation to deletion.

The machine knows the time only as an argument and the cluster only as a pod document. Whoever owns
it calls `advance` when `wake` has come, acts on the effects, and writes `status.render` back.
"""

from typing import cast

from pilothouse.local.nodes.pods.behavior import script_for
from pilothouse.local.nodes.pods.container import ContainerMachine
from pilothouse.local.nodes.pods.declaration import ContainerSpec, Exit, RestartPolicy, Role
from pilothouse.local.nodes.pods.documents import Document, seconds
from pilothouse.local.nodes.pods.effects import Effects, LogLine, PodEvent
from pilothouse.local.nodes.pods.references import Problems
from pilothouse.local.nodes.pods.timing import READY_CAP_SECONDS, RETRY_SECONDS

OVER = {"Succeeded", "Failed"}
"""The phases that a pod never leaves."""
_LAUNCHING = {"creating", "config_error", "pull_backoff", "backoff"}
_NO_PROBLEMS = Problems()


class PodMachine:
    """A pod's state. Built from a pod that is new, or that an earlier simulator already ran."""

    def __init__(self, pod: Document, now: float) -> None:
        self.mounted = False
        """Volumes are there and the sandbox, had there been one, would run."""
        self.stopped = False
        """Nothing will change any more: the pod is being deleted, or others have ended it."""
        self.settled = _phase(pod) in OVER
        """The pod was over before this machine saw it: its status is history, not ours."""
        self._mount_retry: float | None = now
        self._news = Effects()
        self.inits: list[ContainerMachine] = []
        self.mains: list[ContainerMachine] = []
        for declared in pod["spec"].get("initContainers") or ():
            role: Role = "sidecar" if declared.get("restartPolicy") == "Always" else "init"
            self.inits.append(self._container(pod, declared, role))
        for declared in pod["spec"]["containers"]:
            self.mains.append(self._container(pod, declared, "main"))
        if self.settled:
            self.stopped = True
        else:
            self._restore(pod, now)

    @property
    def containers(self) -> list[ContainerMachine]:
        """All of them, init containers first."""
        return [*self.inits, *self.mains]

    @property
    def wake(self) -> float | None:
        """When `advance` has something to do, in seconds since the epoch; None: never."""
        if self.stopped:
            return None
        if self._mount_retry is not None:
            return self._mount_retry
        return min((c.due for c in self.containers if c.due is not None), default=None)

    def launching(self, now: float) -> bool:
        """Whether `advance` would look at problems: something is about to be started."""
        if self.stopped:
            return False
        if self._mount_retry is not None:
            return self._mount_retry <= now
        return any(
            c.due is not None and c.due <= now for c in self.containers if c.stage in _LAUNCHING
        )

    @property
    def initialized(self) -> bool:
        """Every init container has done its part."""
        return all(c.passed for c in self.inits)

    @property
    def failed_init(self) -> bool:
        """An init container failed and will not be started again."""
        return any(c.spec.role == "init" and c.stage == "done" and not c.passed for c in self.inits)

    @property
    def ended(self) -> bool:
        """All containers are done, whatever the outcome."""
        return self.failed_init or all(c.stage == "done" for c in self.mains)

    def update(self, pod: Document, now: float) -> None:
        """Follow a change of the pod's annotations, or an end that others have put to it."""
        if _phase(pod) in OVER and not self.ended:
            self._news = self.stop(now)
        declared = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
        for machine, container in zip(self.containers, declared, strict=True):
            machine.adopt(script_for(pod, container, machine.spec.role != "main"), now)

    def advance(self, now: float, problems: Problems = _NO_PROBLEMS) -> Effects:
        """Take every step that is due, and return what they left behind."""
        effects, self._news = self._news, Effects()
        if self.stopped:
            return effects
        if self._mount_retry is not None and self._mount_retry <= now:
            self._mount(now, problems, effects)
        if self.mounted:
            changed = True
            while changed:
                for container in self.containers:
                    problem = problems.containers.get(container.spec.name, "")
                    container.advance(now, problem, effects)
                changed = self._open_next(now, effects)
        return effects

    def stop(self, now: float) -> Effects:
        """End all containers: the pod is being deleted. Idempotent."""
        effects, self._news = self._news, Effects()
        if not self.stopped:
            self.stopped = True
            for container in self.containers:
                container.stop(now, effects)
        return effects

    def _mount(self, now: float, problems: Problems, effects: Effects) -> None:
        if problems.mount:
            self._mount_retry = now + RETRY_SECONDS
            effects.events.append(PodEvent("Warning", "FailedMount", problems.mount))
        else:
            self._mount_retry = None
            self.mounted = True

    def _open_next(self, now: float, effects: Effects) -> bool:
        """Begin whatever its predecessors allow; returns whether anything began."""
        if self.ended:
            for sidecar in self.inits:
                if sidecar.running:
                    sidecar.stop(now, effects, code=0)
            return False
        for init in self.inits:
            if init.stage == "blocked":
                init.begin(now)
                return True
            if not init.passed:
                return False
        blocked = [c for c in self.mains if c.stage == "blocked"]
        for container in blocked:
            container.begin(now)
        return bool(blocked)

    def _container(self, pod: Document, declared: Document, role: Role) -> ContainerMachine:
        metadata, policy = pod["metadata"], pod["spec"].get("restartPolicy", "Always")
        if role == "sidecar":
            policy = "Always"
        elif role == "init" and policy == "Always":
            policy = "OnFailure"  # an init container that succeeded is never run again
        spec = ContainerSpec(
            name=declared["name"],
            image=declared.get("image", ""),
            role=role,
            restart=cast(RestartPolicy, policy),
            node=pod["spec"].get("nodeName", ""),
            pod=f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})",
            ready_after=_ready_after(declared),
        )
        script = script_for(pod, declared, role != "main")
        if script.problem:
            event = PodEvent("Warning", "UnknownBehavior", script.problem, spec.field_path)
            self._news.events.append(event)
        return ContainerMachine(spec, script)

    def _restore(self, pod: Document, now: float) -> None:
        """Take over a pod that was already started: the simulator itself was restarted."""
        status: Document = pod.get("status") or {}
        known = {
            entry["name"]: entry
            for kind in ("initContainerStatuses", "containerStatuses")
            for entry in status.get(kind) or ()
        }
        if not any(_was_started(entry) for entry in known.values()):
            return
        self._mount_retry = None
        self.mounted = True
        for machine in self.containers:
            entry = known.get(machine.spec.name)
            if entry and _was_started(entry):
                _restore_container(machine, entry, now, self._news)


def _phase(pod: Document) -> str:
    return str((pod.get("status") or {}).get("phase") or "")


def _was_started(entry: Document) -> bool:
    state = entry.get("state") or {}
    return bool(entry.get("lastState") or "running" in state or "terminated" in state)


def _restore_container(
    machine: ContainerMachine, entry: Document, now: float, news: Effects
) -> None:
    state: Document = entry.get("state") or {}
    machine.restarts = entry.get("restartCount", 0)
    last = (entry.get("lastState") or {}).get("terminated")
    machine.last_exit = _exit_of(last, machine.restarts - 1, now) if last else None
    if "running" in state:
        started_at = seconds(state["running"].get("startedAt"), now)
        machine.resume(started_at, bool(entry.get("ready")), now)
        text = "simulated node restarted: earlier output is gone"
        news.logs.append(LogLine(machine.spec.name, machine.restarts, now, text))
    elif "terminated" in state:
        machine.conclude(_exit_of(state["terminated"], machine.restarts, now), now)
    elif machine.last_exit is not None:
        # It waited for a restart: what was its last instance is, to the machine, the present one.
        machine.conclude(machine.last_exit, now)


def _exit_of(terminated: Document, instance: int, now: float) -> Exit:
    return Exit(
        code=terminated["exitCode"],
        reason=terminated.get("reason", ""),
        started_at=seconds(terminated.get("startedAt"), now),
        finished_at=seconds(terminated.get("finishedAt"), now),
        instance=instance,
    )


def _ready_after(container: Document) -> float:
    """Seconds until a healthy container is ready: its probes' delays, capped."""
    delays = [
        (container.get(probe) or {}).get("initialDelaySeconds", 0)
        for probe in ("startupProbe", "readinessProbe")
    ]
    return min(READY_CAP_SECONDS, float(max(delays)))
