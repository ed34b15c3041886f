"""Simulated pods, played through time without a server."""

from typing import Any

from pilothouse.local.nodes.pods.documents import covers, timestamp
from pilothouse.local.nodes.pods.effects import Effects
from pilothouse.local.nodes.pods.machine import PodMachine
from pilothouse.local.nodes.pods.references import Problems
from pilothouse.local.nodes.pods.status import Addresses, image_id, render

START = 1_800_000_000.0
PREFIX = "simulator.pilothouse.dev/"


def make_pod(
    *containers: dict[str, Any],
    init: tuple[dict[str, Any], ...] = (),
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "api-1",
            "namespace": "shop",
            "uid": "u-1",
            "generation": 3,
            "annotations": {PREFIX + key: text for key, text in (annotations or {}).items()},
        },
        "spec": {
            "nodeName": "simulated-1",
            "containers": list(containers) or [{"name": "api", "image": "api:1"}],
            "initContainers": list(init),
            "restartPolicy": "Always",
            **spec,
        },
    }


class Play:
    """A pod and its machine, moved from one wake-up to the next."""

    def __init__(self, pod: dict[str, Any]) -> None:
        self.pod = pod
        self.now = START
        self.machine = PodMachine(pod, self.now)
        self.problems = Problems()
        self.seen = Effects()
        self.phases: list[str] = []
        self.states: list[str] = []
        """What a watcher of the first container would have seen, repetitions left out."""
        self._step(self.machine.advance(self.now, self.problems))

    def until(self, seconds: float) -> "Play":
        """Advance to so many seconds after the start."""
        end = START + seconds
        while self.machine.wake is not None and self.machine.wake <= end:
            self.now = self.machine.wake
            self._step(self.machine.advance(self.now, self.problems))
        self.now = end
        return self

    def delete(self) -> None:
        self._step(self.machine.stop(self.now))

    def _step(self, effects: Effects) -> None:
        self.seen.events += effects.events
        self.seen.logs += effects.logs
        addresses = Addresses("127.0.0.1", "10.244.0.7")
        self.pod["status"] = render(self.machine, self.pod, addresses, self.now)
        _note(self.phases, self.status["phase"])
        state = self.status["containerStatuses"][0]["state"]
        kind, detail = next(iter(state.items()))
        _note(self.states, detail.get("reason", kind))

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.pod["status"]
        return status

    def container(self, name: str = "api") -> dict[str, Any]:
        entries = self.status["containerStatuses"] + self.status.get("initContainerStatuses", [])
        return next(entry for entry in entries if entry["name"] == name)

    def condition(self, type: str) -> dict[str, Any]:
        return next(entry for entry in self.status["conditions"] if entry["type"] == type)

    def reasons(self) -> list[str]:
        return [event.reason for event in self.seen.events]

    def lines(self, container: str = "api") -> list[str]:
        return [line.text for line in self.seen.logs if line.container == container]


def _note(history: list[str], item: str) -> None:
    if history[-1:] != [item]:
        history.append(item)


def test_a_pod_becomes_ready_by_the_stages_a_kubelet_shows() -> None:
    play = Play(make_pod()).until(1)

    assert play.phases == ["Pending", "Running"]
    assert play.states == ["ContainerCreating", "running"]
    assert {c["type"]: c["status"] for c in play.status["conditions"]} == {
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "Ready": "True",
        "ContainersReady": "True",
        "PodScheduled": "True",
    }
    assert play.container()["imageID"] == image_id("api:1")
    assert play.status["podIP"] == "10.244.0.7"
    assert play.status["observedGeneration"] == 3
    assert play.reasons() == ["Pulled", "Created", "Started"]
    assert play.machine.wake is None


def test_the_first_log_line_says_that_no_image_was_run() -> None:
    play = Play(make_pod(annotations={"log": "listening\nready"})).until(1)

    first, *rest = play.lines()
    assert first.startswith("simulated container: no image was run")
    assert rest == ["listening", "ready"]


def test_an_image_digest_depends_on_the_name_alone_and_keeps_a_registry_port() -> None:
    assert image_id("localhost:5000/team/api:1") == image_id("localhost:5000/team/api:1")
    assert image_id("localhost:5000/team/api:1").startswith("localhost:5000/team/api@sha256:")
    assert image_id("api:1") != image_id("api:2")
    assert image_id("api@sha256:abc") == "api@sha256:abc"


def test_readiness_waits_for_the_probes_delay_but_never_long() -> None:
    probe = {"readinessProbe": {"initialDelaySeconds": 60, "httpGet": {"port": 80}}}
    play = Play(make_pod({"name": "api", "image": "api:1", **probe}))

    assert play.until(0.4).condition("Ready")["status"] == "False"
    assert play.container()["started"] is True
    assert play.until(0.7).condition("Ready")["status"] == "True"


def test_init_containers_run_one_after_the_other_before_the_others() -> None:
    first, second = {"name": "first", "image": "i"}, {"name": "second", "image": "i"}
    play = Play(make_pod(init=(first, second)))

    play.until(0.15)
    assert "running" in play.container("first")["state"]
    assert play.container("second")["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert play.container()["state"] == {"waiting": {"reason": "PodInitializing"}}
    initialized = play.condition("Initialized")
    assert initialized["status"] == "False"
    assert initialized["message"] == "containers with incomplete status: [first second]"

    play.until(2)
    assert play.container("first")["state"]["terminated"]["reason"] == "Completed"
    assert play.container("second")["ready"] is True
    assert play.condition("Ready")["status"] == "True"


def test_a_sidecar_keeps_running_and_ends_with_the_job_that_it_served() -> None:
    sidecar = {"name": "proxy", "image": "p", "restartPolicy": "Always"}
    play = Play(make_pod(init=(sidecar,), restartPolicy="Never"))

    play.until(0.3)
    assert "running" in play.container("proxy")["state"]
    assert "running" in play.container()["state"]

    play.until(2)
    assert play.status["phase"] == "Succeeded"
    assert play.container("proxy")["state"]["terminated"]["exitCode"] == 0
    assert play.machine.wake is None


def test_an_init_container_that_fails_for_good_fails_its_pod() -> None:
    pod = make_pod(
        init=({"name": "setup", "image": "i"},),
        annotations={"behavior.setup": "crash-loop"},
        restartPolicy="Never",
    )
    play = Play(pod).until(5)

    assert play.status["phase"] == "Failed"
    assert "waiting" in play.container()["state"]
    assert play.machine.wake is None


def test_a_job_completes() -> None:
    play = Play(make_pod(restartPolicy="Never")).until(1)

    assert play.phases == ["Pending", "Running", "Succeeded"]
    assert play.container()["state"]["terminated"]["exitCode"] == 0
    assert play.condition("Ready")["reason"] == "PodCompleted"


def test_a_job_fails_with_the_exit_code_that_was_asked_for() -> None:
    play = Play(make_pod(restartPolicy="Never", annotations={"exit-code": "4"})).until(1)

    assert play.status["phase"] == "Failed"
    assert play.container()["state"]["terminated"]["exitCode"] == 4
    assert play.container()["state"]["terminated"]["reason"] == "Error"


def test_on_failure_restarts_what_failed_and_nothing_else() -> None:
    failing = Play(make_pod(restartPolicy="OnFailure", annotations={"exit-code": "4"})).until(3)
    passing = Play(make_pod(restartPolicy="OnFailure")).until(3)

    assert failing.status["phase"] == "Running"
    assert failing.container()["restartCount"] == 1
    assert passing.status["phase"] == "Succeeded"


def test_a_crash_loop_backs_off_as_a_kubelet_does() -> None:
    pod = make_pod(annotations={"behavior": "crash-loop", "log": "boom\nbye"})
    play = Play(pod).until(0.65)

    terminated = play.container()["state"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (1, "Error")
    assert play.lines()[-2:] == ["boom", "bye"]

    play.until(1)
    assert play.container()["state"]["waiting"] == {
        "reason": "CrashLoopBackOff",
        "message": "back-off 1s restarting failed container=api pod=api-1_shop(u-1)",
    }
    assert play.container()["lastState"]["terminated"]["exitCode"] == 1
    assert play.status["phase"] == "Running"
    assert play.condition("Ready")["status"] == "False"
    assert play.reasons()[-1] == "BackOff"

    play.until(60)
    assert play.container()["restartCount"] == 6
    assert "back-off 20s" in play.container()["state"]["waiting"]["message"]


def test_a_crashing_container_is_never_ready_in_between() -> None:
    play = Play(make_pod(annotations={"behavior": "crash-loop"}))

    for tenth in range(100):
        play.until(tenth / 10)
        assert play.container()["ready"] is False


def test_out_of_memory_is_killed_with_137() -> None:
    play = Play(make_pod(annotations={"behavior": "oom"})).until(1)

    terminated = play.container()["lastState"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (137, "OOMKilled")
    assert play.states[-1] == "CrashLoopBackOff"


def test_an_image_that_cannot_be_pulled_never_starts() -> None:
    play = Play(make_pod({"name": "api", "image": "simulated.invalid/image-pull:9"})).until(2)

    assert play.states == ["ContainerCreating", "ErrImagePull", "ImagePullBackOff"]
    assert play.status["phase"] == "Pending"
    assert play.container()["imageID"] == ""
    failed = [event.message for event in play.seen.events if event.reason == "Failed"]
    assert failed[0].startswith('Failed to pull image "simulated.invalid/image-pull:9": ')
    assert failed[1:] == ["Error: ErrImagePull", "Error: ImagePullBackOff"]
    assert play.lines() == []


def test_not_ready_runs_and_says_why_again_and_again() -> None:
    play = Play(make_pod(annotations={"behavior": "not-ready"})).until(25)

    assert play.status["phase"] == "Running"
    assert play.condition("Ready")["message"] == "containers with unready status: [api]"
    unhealthy = [event for event in play.seen.events if event.reason == "Unhealthy"]
    assert len(unhealthy) == 3
    assert unhealthy[0].message == (
        "Readiness probe failed: HTTP probe failed with statuscode: 503"
    )


def test_slow_start_becomes_ready_in_the_end() -> None:
    play = Play(make_pod(annotations={"behavior": "slow-start"}))

    assert play.until(4).condition("Ready")["status"] == "False"
    assert play.until(6).condition("Ready")["status"] == "True"


def test_a_missing_source_is_an_error_until_it_appears() -> None:
    pod = make_pod()
    play = Play(pod)
    play.problems = Problems(containers={"api": 'configmap "settings" not found'})

    play.until(3)
    assert play.container()["state"]["waiting"] == {
        "reason": "CreateContainerConfigError",
        "message": 'configmap "settings" not found',
    }
    assert play.status["phase"] == "Pending"
    assert play.seen.events[0].message == 'Error: configmap "settings" not found'

    play.problems = Problems()
    assert play.until(5).condition("Ready")["status"] == "True"


def test_a_missing_volume_source_stops_the_whole_pod() -> None:
    pod = make_pod()
    machine = PodMachine(pod, START)
    effects = machine.advance(START, Problems(mount="no such secret"))

    assert [event.reason for event in effects.events] == ["FailedMount"]
    assert machine.wake == START + 2
    status = render(machine, pod, Addresses("127.0.0.1", "10.244.0.7"), START)
    assert "podIP" not in status
    assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == "ContainerCreating"


def test_one_container_can_fail_beside_a_healthy_one() -> None:
    pod = make_pod(
        {"name": "api", "image": "api:1"},
        {"name": "side", "image": "side:1"},
        annotations={"behavior.side": "crash-loop"},
    )
    play = Play(pod).until(1)

    assert play.container("api")["ready"] is True
    assert play.container("side")["ready"] is False
    assert play.condition("Ready")["message"] == "containers with unready status: [side]"


def test_a_changed_annotation_breaks_a_running_pod_and_heals_it() -> None:
    play = Play(make_pod()).until(10)
    play.pod["metadata"]["annotations"][PREFIX + "behavior"] = "crash-loop"
    play.machine.update(play.pod, play.now)

    play.until(11)
    assert play.container()["state"]["waiting"]["reason"] == "CrashLoopBackOff"

    del play.pod["metadata"]["annotations"][PREFIX + "behavior"]
    play.machine.update(play.pod, play.now)
    play.until(20)
    assert play.condition("Ready")["status"] == "True"
    assert play.container()["restartCount"] == 1


def test_a_deleted_pod_ends_its_containers_once() -> None:
    play = Play(make_pod()).until(1)
    play.delete()
    play.delete()

    assert play.reasons().count("Killing") == 1
    assert play.container()["state"]["terminated"]["exitCode"] == 143
    assert play.status["phase"] == "Failed"
    assert play.condition("Ready")["status"] == "False"
    assert play.machine.wake is None


def test_a_restarted_simulator_takes_a_running_pod_over_without_a_flap() -> None:
    probe = {"readinessProbe": {"initialDelaySeconds": 9}}
    before = Play(make_pod({"name": "api", "image": "api:1", **probe})).until(2)
    status = before.status

    after = Play(before.pod)
    assert after.phases == ["Running"]
    assert covers(status, after.status)
    assert after.reasons() == []
    assert after.lines() == ["simulated node restarted: earlier output is gone"]


def test_a_restarted_simulator_goes_on_counting_restarts() -> None:
    before = Play(make_pod(annotations={"behavior": "crash-loop"})).until(5)
    count = before.container()["restartCount"]
    assert "CrashLoopBackOff" in str(before.container()["state"])

    after = Play(before.pod).until(30)
    assert after.container()["restartCount"] > count


def test_a_pod_that_others_have_ended_is_left_alone() -> None:
    pod = make_pod()
    pod["status"] = {"phase": "Failed", "reason": "Evicted"}
    machine = PodMachine(pod, START)

    assert machine.settled
    assert machine.wake is None
    assert machine.advance(START + 9) == Effects()


def test_a_pod_that_others_end_while_it_runs_stops_and_stays_failed() -> None:
    play = Play(make_pod()).until(1)
    play.pod["status"]["phase"] = "Failed"
    play.machine.update(play.pod, play.now)
    play._step(play.machine.advance(play.now))

    assert play.status["phase"] == "Failed"
    assert "Killing" in play.reasons()


def test_a_readiness_gate_keeps_a_pod_unready() -> None:
    pod = make_pod(readinessGates=[{"conditionType": "example.com/gate"}])
    play = Play(pod).until(1)

    assert play.condition("ContainersReady")["status"] == "True"
    assert play.condition("Ready")["reason"] == "ReadinessGatesNotReady"


def test_an_unknown_behavior_is_said_and_not_played() -> None:
    play = Play(make_pod(annotations={"behavior": "explode"})).until(1)

    assert play.reasons()[0] == "UnknownBehavior"
    assert play.condition("Ready")["status"] == "True"


def test_transition_times_change_only_with_the_condition() -> None:
    play = Play(make_pod(annotations={"behavior": "slow-start"})).until(20)

    assert play.condition("Initialized")["lastTransitionTime"] == timestamp(START)
    assert play.condition("Ready")["lastTransitionTime"] == timestamp(START + 5.1)
