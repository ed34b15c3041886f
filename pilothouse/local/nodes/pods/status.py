"""The status that a kubelet would report for a pod in a given state. Pure."""

from dataclasses import dataclass
from hashlib import sha256

from pilothouse.local.nodes.pods.container import ContainerMachine
from pilothouse.local.nodes.pods.declaration import Exit
from pilothouse.local.nodes.pods.documents import Document, timestamp
from pilothouse.local.nodes.pods.machine import OVER, PodMachine


@dataclass(frozen=True)
class Addresses:
    """Where a pod would be reached, were there anything to reach."""

    host: str
    pod: str


def render(machine: PodMachine, pod: Document, addresses: Addresses, now: float) -> Document:
    """Build the status to be merged into the pod, in the form of a strategic merge patch.

    Transition times are kept from the pod's present conditions, so that an unchanged state renders
    to what is already there.
    """
    live: Document = pod.get("status") or {}
    phase = _phase(machine, pod, live)
    status: Document = {
        "phase": phase,
        "startTime": live.get("startTime") or timestamp(now),
        "hostIP": addresses.host,
        "hostIPs": [{"ip": addresses.host}],
        "conditions": _conditions(machine, pod, phase, now),
        "containerStatuses": [_container_status(pod, c, machine) for c in machine.mains],
    }
    if machine.mounted:
        status["podIP"] = addresses.pod
        status["podIPs"] = [{"ip": addresses.pod}]
    if machine.inits:
        status["initContainerStatuses"] = [
            _container_status(pod, c, machine) for c in machine.inits
        ]
    if generation := pod["metadata"].get("generation"):
        status["observedGeneration"] = generation
    return status


def image_id(image: str) -> str:
    """A digest that is the same for the same image name, and says nothing about any image."""
    if "@" in image:
        return image
    folder, slash, name = image.rpartition("/")
    repository = folder + slash + name.partition(":")[0]
    return f"{repository}@sha256:{sha256(image.encode()).hexdigest()}"


def _phase(machine: PodMachine, pod: Document, live: Document) -> str:
    if live.get("phase") in OVER:
        return str(live["phase"])
    if machine.failed_init:
        return "Failed"
    # Only what waits and never ran holds a pod in Pending; a crash loop is Running.
    if not machine.initialized or any(c.exit is None and not c.running for c in machine.mains):
        return "Failed" if machine.stopped and machine.mounted else "Pending"
    if machine.stopped or all(c.stage == "done" for c in machine.mains):
        codes = {c.exit.code for c in machine.mains if c.exit}
        return "Succeeded" if codes == {0} else "Failed"
    return "Running"


def _conditions(machine: PodMachine, pod: Document, phase: str, now: float) -> list[Document]:
    ended = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase, "")
    unready = [c.spec.name for c in machine.mains if not c.ready]
    unready += [c.spec.name for c in machine.inits if c.spec.role == "sidecar" and not c.ready]
    incomplete = [c.spec.name for c in machine.inits if not c.passed]
    unready_text = "" if ended or not unready else f"containers with unready status: {_go(unready)}"
    containers = ("ContainersReady", ended or "ContainersNotReady", unready_text)
    gate = _closed_gate(pod)
    ready = ("Ready", containers[1], unready_text)
    if gate and not unready:
        ready = ("Ready", ended or "ReadinessGatesNotReady", gate)
    initialized = f"containers with incomplete status: {_go(incomplete)}" if incomplete else ""
    sandbox = machine.mounted and not machine.stopped and not machine.ended
    states = [
        (sandbox, "PodReadyToStartContainers", "", ""),
        (machine.initialized, "Initialized", "ContainersNotInitialized", initialized),
        (not unready and not ended and not gate, *ready),
        (not unready and not ended, *containers),
        (True, "PodScheduled", "", ""),
    ]
    if ended == "PodCompleted":
        # A kubelet keeps Initialized true, and says that the pod is over.
        states[1] = (True, "Initialized", "", "")
    return [_condition(pod, now, *state) for state in states]


def _condition(
    pod: Document, now: float, holds: bool, type: str, reason: str, message: str
) -> Document:
    value = "True" if holds else "False"
    live = next(
        (c for c in (pod.get("status") or {}).get("conditions") or () if c["type"] == type), None
    )
    unchanged = live is not None and live["status"] == value
    condition: Document = {
        "type": type,
        "status": value,
        "lastTransitionTime": (live or {}).get("lastTransitionTime")
        if unchanged
        else timestamp(now),
        # None removes what an earlier state left there.
        "reason": None if holds else reason or None,
        "message": None if holds else message or None,
    }
    if generation := pod["metadata"].get("generation"):
        condition["observedGeneration"] = generation
    return condition


def _closed_gate(pod: Document) -> str:
    """The message about the first readiness gate that is not open, empty if there is none."""
    live = {c["type"]: c["status"] for c in (pod.get("status") or {}).get("conditions") or ()}
    for gate in pod["spec"].get("readinessGates") or ():
        type = gate["conditionType"]
        if type not in live:
            return f'corresponding condition of pod readiness gate "{type}" does not exist.'
        if live[type] != "True":
            return f'the status of pod readiness gate "{type}" is not "True", but {live[type]}'
    return ""


def _container_status(pod: Document, container: ContainerMachine, machine: PodMachine) -> Document:
    spec = container.spec
    known = container.running or container.exit is not None
    present = container.stage in {"running", "exited", "done"}
    before = container.last_exit if present else container.exit
    identity = f"{pod['metadata']['uid']}/{spec.name}"
    done_init = spec.role == "init" and container.passed
    return {
        "name": spec.name,
        "image": spec.image,
        "imageID": image_id(spec.image) if known else "",
        "containerID": _container_id(identity, container.restarts) if known else "",
        "restartCount": container.restarts,
        "ready": container.ready or done_init,
        "started": container.running,
        "state": _state(identity, container, machine),
        "lastState": _terminated(identity, before) if before else {},
    }


def _state(identity: str, container: ContainerMachine, machine: PodMachine) -> Document:
    if container.running:
        return {"running": {"startedAt": timestamp(container.started_at)}}
    if container.exit is not None and container.stage in {"exited", "done"}:
        return _terminated(identity, container.exit)
    reason = {
        "config_error": "CreateContainerConfigError",
        "pull_error": "ErrImagePull",
        "pull_backoff": "ImagePullBackOff",
        "backoff": "CrashLoopBackOff",
    }.get(container.stage)
    if reason is not None:
        return {"waiting": {"reason": reason, "message": container.message}}
    initializing = machine.inits and not machine.initialized
    return {"waiting": {"reason": "PodInitializing" if initializing else "ContainerCreating"}}


def _terminated(identity: str, ended: Exit) -> Document:
    return {
        "terminated": {
            "exitCode": ended.code,
            "reason": ended.reason,
            "startedAt": timestamp(ended.started_at),
            "finishedAt": timestamp(ended.finished_at),
            "containerID": _container_id(identity, ended.instance),
        }
    }


def _container_id(identity: str, instance: int) -> str:
    return "simulated://" + sha256(f"{identity}/{instance}".encode()).hexdigest()


def _go(names: list[str]) -> str:
    """A list as Go prints it: kubelet messages have it so, and people search for them."""
    return f"[{' '.join(names)}]"
