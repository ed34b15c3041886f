"""Simulated nodes under a real control plane: what people and controllers see of them."""

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pilothouse.local.controlplane import ControlPlane
from pilothouse.local.nodes.api import ClusterApi, RefusedError, path

KUBECTL = str(Path(sys.executable).with_name("kubectl"))
WAIT_SECONDS = 30.0
PREFIX = "simulator.pilothouse.dev/"


@pytest.fixture(scope="module")
async def api(admin_kubeconfig: Path) -> AsyncIterator[ClusterApi]:
    connection = await ClusterApi.connect(admin_kubeconfig)
    yield connection
    await connection.close()


async def kubectl(kubeconfig: Path, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        KUBECTL,
        f"--kubeconfig={kubeconfig}",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), WAIT_SECONDS)
    return process.returncode or 0, output.decode()


async def eventually(
    look: Callable[[], Awaitable[Any]], enough: Callable[[Any], object], what: str
) -> Any:
    """Look until it is so; fails with what was seen last."""
    seen = None
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                seen = await look()
                if enough(seen):
                    return seen
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"never saw {what}; last: {seen}")


def pods_path(namespace: str) -> str:
    return path("api", "v1", "namespaces", namespace, "pods")


async def run_pod(
    api: ClusterApi,
    namespace: str,
    name: str,
    annotations: dict[str, str] | None = None,
    **container: Any,
) -> Callable[[], Awaitable[Any]]:
    """Create a pod; returns how to look at it."""
    await api.create(
        pods_path(namespace),
        {
            "metadata": {
                "name": name,
                "annotations": {PREFIX + key: text for key, text in (annotations or {}).items()},
            },
            "spec": {
                "containers": [{"name": "api", "image": "example.com/api:1", **container}],
                "terminationGracePeriodSeconds": 1,
            },
        },
    )
    return lambda: api.get(f"{pods_path(namespace)}/{name}")


def waiting_reason(pod: dict[str, Any]) -> str:
    for entry in pod["status"].get("containerStatuses", []):
        return str(entry["state"].get("waiting", {}).get("reason", ""))
    return ""


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


async def events_about(api: ClusterApi, namespace: str, name: str) -> list[dict[str, Any]]:
    listed = await api.get(
        path("api", "v1", "namespaces", namespace, "events"),
        {"fieldSelector": f"involvedObject.name={name}"},
    )
    return [e for e in listed["items"] if e["source"].get("component") == "simulated-kubelet"]


def deployment(name: str, replicas: int = 2) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "api", "image": "example.com/api:1"}]},
            },
        },
    }


async def test_nodes_are_ready_and_say_that_they_are_simulated(api: ClusterApi) -> None:
    nodes = (await api.get(path("api", "v1", "nodes")))["items"]

    assert [node["metadata"]["name"] for node in nodes] == ["simulated-1", "simulated-2"]
    for node in nodes:
        assert node["metadata"]["labels"]["pilothouse.dev/simulated"] == "true"
        assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.36.3-simulated"
        assert "taints" not in node["spec"]
        assert {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "True"


async def test_a_rollout_becomes_ready_and_kubectl_reads_its_logs(
    api: ClusterApi, admin_kubeconfig: Path, namespace: str
) -> None:
    where = path("apis", "apps", "v1", "namespaces", namespace, "deployments")
    await api.create(where, deployment("web"))

    code, output = await kubectl(
        admin_kubeconfig, "-n", namespace, "rollout", "status", "deployment/web", "--timeout=20s"
    )
    assert (code, output.splitlines()[-1]) == (0, 'deployment "web" successfully rolled out')
    pods = (await api.get(pods_path(namespace)))["items"]
    assert len(pods) == 2
    assert len({pod["status"]["podIP"] for pod in pods}) == 2

    code, output = await kubectl(admin_kubeconfig, "-n", namespace, "logs", "deployment/web")
    assert code == 0
    assert "simulated container: no image was run" in output


async def test_a_crash_loop_keeps_its_last_words(
    api: ClusterApi, admin_kubeconfig: Path, namespace: str
) -> None:
    annotations = {"behavior": "crash-loop", "exit-code": "3", "log": "cannot reach db:5432"}
    look = await run_pod(api, namespace, "crash", annotations)

    def twice(pod: dict[str, Any]) -> bool:
        statuses = pod["status"].get("containerStatuses") or [{"restartCount": 0}]
        return waiting_reason(pod) == "CrashLoopBackOff" and statuses[0]["restartCount"] >= 1

    pod = await eventually(look, twice, "the second CrashLoopBackOff")
    last = pod["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (3, "Error")

    code, output = await kubectl(admin_kubeconfig, "-n", namespace, "logs", "crash", "--previous")
    assert code == 0
    assert output.splitlines()[-1] == "cannot reach db:5432"

    events = await eventually(
        lambda: events_about(api, namespace, "crash"),
        lambda seen: any(e["reason"] == "BackOff" and e["count"] >= 2 for e in seen),
        "a BackOff event counted twice",
    )
    assert len([e for e in events if e["reason"] == "BackOff"]) == 1


@pytest.mark.parametrize(
    ("behavior", "reason", "event"),
    [("image-pull", "ImagePullBackOff", "Failed"), ("oom", "CrashLoopBackOff", "BackOff")],
)
async def test_failures_show_their_reason_and_an_event(
    api: ClusterApi, namespace: str, behavior: str, reason: str, event: str
) -> None:
    look = await run_pod(api, namespace, "api", image=f"simulated.invalid/{behavior}:1")

    await eventually(look, lambda pod: waiting_reason(pod) == reason, reason)
    await eventually(
        lambda: events_about(api, namespace, "api"),
        lambda seen: any((e["type"], e["reason"]) == ("Warning", event) for e in seen),
        f"a {event} event",
    )


async def test_not_ready_runs_without_becoming_ready(api: ClusterApi, namespace: str) -> None:
    look = await run_pod(api, namespace, "api", {"behavior": "not-ready"})

    await eventually(
        lambda: events_about(api, namespace, "api"),
        lambda seen: any(e["reason"] == "Unhealthy" for e in seen),
        "an Unhealthy event",
    )
    pod = await look()
    assert pod["status"]["phase"] == "Running"
    assert not is_ready(pod)


async def test_a_missing_configmap_holds_the_container_until_it_is_there(
    api: ClusterApi, namespace: str
) -> None:
    look = await run_pod(api, namespace, "api", envFrom=[{"configMapRef": {"name": "settings"}}])
    await eventually(
        look, lambda pod: waiting_reason(pod) == "CreateContainerConfigError", "the error"
    )

    where = path("api", "v1", "namespaces", namespace, "configmaps")
    await api.create(where, {"metadata": {"name": "settings"}, "data": {"a": "1"}})
    await eventually(look, is_ready, "a ready pod")


async def test_a_job_completes_and_its_pod_succeeds(api: ClusterApi, namespace: str) -> None:
    where = path("apis", "batch", "v1", "namespaces", namespace, "jobs")
    container = {"name": "migrate", "image": "example.com/migrate:1"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    await api.create(where, {"metadata": {"name": "migrate"}, "spec": {"template": template}})

    await eventually(
        lambda: api.get(f"{where}/migrate"),
        lambda job: job["status"].get("succeeded") == 1,
        "a succeeded job",
    )


async def test_a_stateful_set_gets_volumes_and_they_go_with_their_claims(
    api: ClusterApi, namespace: str
) -> None:
    where = path("apis", "apps", "v1", "namespaces", namespace, "statefulsets")
    claim = {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    document = deployment("db", replicas=1)
    document["spec"] |= {"serviceName": "db", "volumeClaimTemplates": [claim]}
    await api.create(where, document)
    await eventually(
        lambda: api.get(f"{where}/db"),
        lambda found: found["status"].get("readyReplicas") == 1,
        "a ready replica",
    )

    claims = path("api", "v1", "namespaces", namespace, "persistentvolumeclaims")
    volume = (await api.get(f"{claims}/data-db-0"))["spec"]["volumeName"]
    await api.delete(f"{where}/db")
    await api.delete(f"{claims}/data-db-0")

    async def exists() -> bool:
        try:
            await api.get(path("api", "v1", "persistentvolumes", volume))
        except RefusedError as error:
            assert error.status == 404
            return False
        return True

    await eventually(exists, lambda there: not there, "the volume gone")


def addresses_in(document: dict[str, Any]) -> list[str]:
    entries = document["status"].get("loadBalancer", {}).get("ingress", [])
    return [entry["ip"] for entry in entries]


def balanced(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], **spec},
    }


async def test_load_balancers_get_an_address_of_their_own_and_an_event_says_it_is_simulated(
    api: ClusterApi, namespace: str
) -> None:
    where = path("api", "v1", "namespaces", namespace, "services")
    for name in ("web", "admin"):
        await api.create(where, balanced(name))

    async def look() -> list[str]:
        listed = await api.get(where)
        return [address for item in listed["items"] for address in addresses_in(item)]

    seen = await eventually(look, lambda addresses: len(addresses) == 2, "two addresses")
    assert len(set(seen)) == 2
    assert all(address.startswith("203.0.113.") for address in seen)
    events = await eventually(lambda: events_about(api, namespace, "web"), len, "an event")
    assert events[0]["involvedObject"]["kind"] == "Service"
    assert events[0]["message"].startswith("Simulated load balancer: 203.0.113.")


async def test_a_service_that_becomes_a_load_balancer_gets_an_address_and_loses_it_again(
    api: ClusterApi, namespace: str
) -> None:
    where = path("api", "v1", "namespaces", namespace, "services")
    await api.create(where, balanced("web", type="ClusterIP"))
    await api.create(where, balanced("foreign", loadBalancerClass="example.com/nlb"))

    await api.patch(f"{where}/web", {"spec": {"type": "LoadBalancer"}})
    await eventually(lambda: api.get(f"{where}/web"), addresses_in, "an address")
    changed = await api.patch(f"{where}/web", {"spec": {"type": "ClusterIP"}})

    assert not addresses_in(changed)
    # Created before `web` got its own, so the simulator has seen it and left it alone.
    assert not addresses_in(await api.get(f"{where}/foreign"))


async def test_an_ingress_gets_the_address_of_the_one_controller(
    api: ClusterApi, namespace: str
) -> None:
    where = path("apis", "networking.k8s.io", "v1", "namespaces", namespace, "ingresses")
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    spec = {"ingressClassName": "nginx", "defaultBackend": backend}
    await api.create(where, {"metadata": {"name": "web"}, "spec": spec})

    found = await eventually(lambda: api.get(f"{where}/web"), addresses_in, "an address")
    assert addresses_in(found) == ["203.0.113.1"]


async def test_the_metrics_api_shows_idle_pods_to_autoscalers_and_kubectl_top(
    api: ClusterApi, admin_kubeconfig: Path, namespace: str
) -> None:
    look = await run_pod(api, namespace, "api", resources={"requests": {"cpu": "500m"}})
    await eventually(look, is_ready, "a ready pod")
    registration = path("apis", "apiregistration.k8s.io", "v1", "apiservices")

    async def available() -> bool:
        live = await api.get(f"{registration}/v1beta1.metrics.k8s.io")
        conditions = (live.get("status") or {}).get("conditions") or []
        return any(c["type"] == "Available" and c["status"] == "True" for c in conditions)

    await eventually(available, bool, "an available metrics API")
    where = path("apis", "metrics.k8s.io", "v1beta1", "namespaces", namespace, "pods")
    assert not (await api.get(where, {"labelSelector": "app=other"}))["items"]
    code, output = await kubectl(admin_kubeconfig, "-n", namespace, "top", "pods", "--no-headers")
    assert (code, output.split()) == (0, ["api", "50m", "8Mi"])
    code, output = await kubectl(admin_kubeconfig, "top", "nodes", "--no-headers")
    assert (code, len(output.splitlines())) == (0, 2)


async def test_a_deleted_pod_is_gone_long_before_its_grace_is_over(
    api: ClusterApi, namespace: str
) -> None:
    look = await run_pod(api, namespace, "api")
    await eventually(look, is_ready, "a ready pod")
    await api.delete(f"{pods_path(namespace)}/api", {"gracePeriodSeconds": 600})

    async def exists() -> bool:
        try:
            await look()
        except RefusedError as error:
            assert error.status == 404
            return False
        return True

    await eventually(exists, lambda there: not there, "the pod gone")


async def test_following_a_log_ends_with_the_container(
    api: ClusterApi, admin_kubeconfig: Path, namespace: str
) -> None:
    look = await run_pod(api, namespace, "api", {"log": "one\ntwo"})
    await eventually(look, is_ready, "a ready pod")
    arguments = ("-n", namespace, "logs", "api", "--follow", "--tail=1", "--timestamps")
    following = asyncio.create_task(kubectl(admin_kubeconfig, *arguments))

    done, _ = await asyncio.wait({following}, timeout=1.0)
    assert not done
    await api.delete(f"{pods_path(namespace)}/api")
    code, output = await following
    assert code == 0
    assert output.startswith("20")
    assert output.endswith("Z two\n")


async def test_exec_is_refused_with_a_reason(
    api: ClusterApi, admin_kubeconfig: Path, namespace: str
) -> None:
    look = await run_pod(api, namespace, "api")
    await eventually(look, is_ready, "a ready pod")

    code, output = await kubectl(admin_kubeconfig, "-n", namespace, "exec", "api", "--", "ls")
    assert code != 0
    assert "simulated nodes cannot exec" in output


async def test_the_kubelet_speaks_to_the_clusters_own_clients_only(
    api: ClusterApi, control_plane: ControlPlane
) -> None:
    node = await api.get(path("api", "v1", "nodes", "simulated-1"))
    port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    url = f"https://127.0.0.1:{port}/healthz"
    stranger = ssl.create_default_context(cafile=str(control_plane.pki.ca))
    known = ssl.create_default_context(cafile=str(control_plane.pki.ca))
    known.load_cert_chain(
        control_plane.pki.certificate("kubelet-client"), control_plane.pki.key("kubelet-client")
    )

    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(url, ssl=stranger)
        async with session.get(url, ssl=known) as response:
            assert await response.text() == "ok"
