"""The wire to a real API server: lost answers, busy servers, credentials, hostile names."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import client
from pydantic import JsonValue

from pilothouse.clients.cluster import ClusterClient
from pilothouse.clients.cluster.answers import Answer, Unavailable
from pilothouse.clients.cluster.transport import Transport
from pilothouse.models.errors import PermanentError, TemporaryError
from tests.integration.cluster_bundles import (
    INVENTORY,
    REVISION,
    apply,
    bundle,
    config_map,
    deployment,
    names,
    placed,
)


class ForgetfulTransport(Transport):
    """The answer to every second real write is lost on the way."""

    writes = 0

    async def send(self, method: str, path: str, **options: Any) -> Answer:
        """As the real one, but forgetful."""
        answer = await super().send(method, path, **options)
        if method != "GET" and "dryRun" not in (options.get("query") or {}):
            self.writes += 1
            if self.writes % 2 == 0:
                raise Unavailable("the answer got lost", sent=True)
        return answer


def kubeconfig_of(path: Path, server: str, token: str = "abc") -> Path:
    path.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        f"clusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n"
        f"users: [{{name: u, user: {{token: {token}}}}}]\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\n",
        encoding="utf-8",
    )
    return path


async def test_a_lost_answer_is_read_back_before_it_is_judged(
    admin_kubeconfig: Path, admin: client.ApiClient, namespace: str
) -> None:
    transport = await ForgetfulTransport.connect(admin_kubeconfig, None)
    async with ClusterClient(transport) as cluster:
        maps = [config_map(f"m{n}") for n in range(10)]
        report = await apply(cluster, bundle(namespace, *maps))
        assert (report.ok, report.counts) == (True, {"created": 10})
        fewer = await apply(cluster, bundle(namespace, *maps[:2]), fencing=2)
        assert (fewer.ok, fewer.counts) == (True, {"unchanged": 2, "deleted": 8})
    assert transport.writes > 20
    assert await names(admin, namespace) == {"m0", "m1"}


async def test_a_server_that_is_away_is_a_temporary_error(tmp_path: Path) -> None:
    away = kubeconfig_of(tmp_path / "kubeconfig", "https://127.0.0.1:1")
    async with await ClusterClient.connect(away) as cluster:
        with pytest.raises(TemporaryError, match="cannot reach") as caught:
            await cluster.read_inventory("default", INVENTORY)
    assert caught.value.type == "ClusterUnavailable"


@pytest.mark.parametrize("text", ["- 1", "{", "kind: Config", "contexts: 7", "\0"])
async def test_a_kubeconfig_that_is_no_kubeconfig_is_refused(tmp_path: Path, text: str) -> None:
    nonsense = tmp_path / "nonsense"
    nonsense.write_text(text)
    with pytest.raises(PermanentError, match="cannot be used"):
        await ClusterClient.connect(nonsense)


async def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="there is no kubeconfig .*none"):
        await ClusterClient.connect(tmp_path / "none")


async def test_a_busy_server_is_asked_again_when_it_said_so(tmp_path: Path) -> None:
    asked: list[float] = []
    busy = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
    gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            asked.append(asyncio.get_running_loop().time())
            writer.write(busy if len(asked) == 1 else gone)
            if len(asked) == 2:
                break
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        away = kubeconfig_of(tmp_path / "kubeconfig", f"http://127.0.0.1:{port}")
        async with await ClusterClient.connect(away) as cluster:
            assert await cluster.read_inventory("default", INVENTORY) is None
    assert len(asked) == 2
    assert asked[1] - asked[0] >= 1.0


async def test_a_token_that_was_renewed_in_the_kubeconfig_is_picked_up(
    admin_kubeconfig: Path, tmp_path: Path, namespace: str
) -> None:
    good = admin_kubeconfig.read_text(encoding="utf-8")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(re.sub(r"(token\"?:\s*)\S+", r'\1"expired"', good), encoding="utf-8")
    async with await ClusterClient.connect(kubeconfig) as cluster:
        with pytest.raises(PermanentError, match="renew the kubeconfig"):
            await cluster.read_inventory(namespace, INVENTORY)
        kubeconfig.write_text(good, encoding="utf-8")
        assert await cluster.read_inventory(namespace, INVENTORY) is None


async def test_names_from_git_stay_names(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    hostile = ["..", ".", "../../../secrets", "a?dryRun=None", "a/b", "%2e%2e", "a#b", "\u0000"]
    bodies: list[dict[str, JsonValue]] = []
    for name in hostile:
        bodies.append(placed(name=name))
        bodies.append(placed(name="x", namespace=name))
    wanted = bundle(namespace, *bodies)
    plan = await cluster.plan(wanted, revision=REVISION, inventory=INVENTORY, prune=True)
    assert {found.severity for found in plan.findings} == {"error"}
    assert len(plan.findings) == len(bodies)
    workloads = [deployment("x") | {"metadata": body["metadata"]} for body in bodies]
    assert (await cluster.health(bundle(namespace, *workloads), namespace)).status == "Missing"
    assert await names(admin, namespace) == set()
