"""The simulator's requests, against a small HTTP server that answers by script."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pilothouse.local.nodes.api import ClusterApi, RefusedError
from pilothouse.local.nodes.events import EventRecorder
from pilothouse.local.nodes.informer import inform
from pilothouse.local.nodes.kubelet import Kubelet
from pilothouse.models.errors import PermanentError, TemporaryError


def thing(name: str, version: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


class Script:
    """Lists and watches to be served, in order; a watch after the last one stays silent."""

    def __init__(self, lists: list[Any], watches: list[Any]) -> None:
        self.lists = lists
        self.watches = watches
        self.asked: list[str] = []
        """The version of each watch that was asked for."""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == "Bearer secret-token"
        if "watch" not in request.query:
            answer = self.lists.pop(0)
            if isinstance(answer, int):
                return web.json_response({"message": "not now"}, status=answer)
            return web.json_response({"metadata": {"resourceVersion": "10"}, "items": answer})
        self.asked.append(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        if not self.watches:
            await asyncio.sleep(60)
        for kind, document in self.watches.pop(0):
            line = json.dumps({"type": kind, "object": document})
            await response.write(line.encode() + b"\n")
        return response


class Diary:
    """A sink that writes everything down, and says when it has seen enough."""

    def __init__(self, expected: int) -> None:
        self.entries: list[str] = []
        self.complete = asyncio.Event()
        self._expected = expected

    def replaced(self, objects: list[dict[str, Any]]) -> None:
        self._note("all " + " ".join(item["metadata"]["name"] for item in objects))

    def changed(self, document: dict[str, Any]) -> None:
        self._note("changed " + document["metadata"]["name"])

    def removed(self, document: dict[str, Any]) -> None:
        self._note("removed " + document["metadata"]["name"])

    def _note(self, entry: str) -> None:
        self.entries.append(entry)
        if len(self.entries) == self._expected:
            self.complete.set()


def write_kubeconfig(directory: Path, url: str) -> Path:
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": url}}],
        "users": [{"name": "me", "user": {"token": "secret-token"}}],
    }
    file = directory / "kubeconfig"
    file.write_text(json.dumps(kubeconfig), encoding="utf-8")
    return file


async def connect(script: "Script | PodServer", directory: Path) -> AsyncIterator[ClusterApi]:
    app = web.Application()
    app.router.add_route("*", "/api/v1/{rest:.*}", script.serve)
    # Cancellation: a silent watch must not keep the server from closing.
    async with TestServer(app, handler_cancellation=True) as server:
        api = await ClusterApi.connect(write_kubeconfig(directory, str(server.make_url("/"))[:-1]))
        yield api
        await api.close()


async def observe(script: Script, directory: Path, expected: int) -> list[str]:
    diary = Diary(expected)
    async for api in connect(script, directory):
        task = asyncio.create_task(inform(api, "/api/v1/things", diary))
        try:
            async with asyncio.timeout(10):
                await diary.complete.wait()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    return diary.entries


async def test_a_watch_that_ends_is_resumed_where_it_ended(tmp_path: Path) -> None:
    script = Script(
        lists=[[thing("a", 5)]],
        watches=[
            [("ADDED", thing("b", 11)), ("BOOKMARK", thing("", 17))],
            [("DELETED", thing("a", 18))],
        ],
    )
    entries = await observe(script, tmp_path, expected=3)

    assert entries == ["all a", "changed b", "removed a"]
    assert script.asked[:2] == ["10", "17"]


@pytest.mark.parametrize("code", [410, 500])
async def test_a_watch_that_fails_begins_again_with_a_list(tmp_path: Path, code: int) -> None:
    script = Script(
        lists=[[thing("a", 5)], [thing("b", 9)]],
        watches=[[("ERROR", {"code": code, "message": "too old resource version"})]],
    )
    entries = await observe(script, tmp_path, expected=2)

    assert entries == ["all a", "all b"]


async def test_a_server_that_is_down_is_asked_again(tmp_path: Path) -> None:
    script = Script(lists=[503, [thing("a", 5)]], watches=[])
    assert await observe(script, tmp_path, expected=1) == ["all a"]


@pytest.mark.parametrize(("status", "error"), [(403, RefusedError), (503, TemporaryError)])
async def test_refusals_are_final_and_overload_is_not(
    tmp_path: Path, status: int, error: type[Exception]
) -> None:
    async for api in connect(Script(lists=[status], watches=[]), tmp_path):
        with pytest.raises(error, match=rf"GET /api/v1/things: {status} not now"):
            await api.get("/api/v1/things")


async def test_no_server_is_temporary_and_no_kubeconfig_is_final(tmp_path: Path) -> None:
    api = await ClusterApi.connect(write_kubeconfig(tmp_path, "http://127.0.0.1:9"))
    with pytest.raises(TemporaryError, match="no answer from the API server"):
        await api.get("/api/v1/things")
    await api.close()
    with pytest.raises(PermanentError, match="cannot use the kubeconfig"):
        await ClusterApi.connect(tmp_path / "absent")


class PodServer:
    """One pod, whose deletion the kubelet learns of from the answer to its own first report."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.deleted = asyncio.Event()
        self.pod: dict[str, Any] = {
            "metadata": {
                "name": "api",
                "namespace": "shop",
                "uid": "u-1",
                "resourceVersion": "1",
            },
            "spec": {
                "nodeName": "simulated-1",
                "containers": [{"name": "api", "image": "api:1"}],
            },
        }

    async def serve(self, request: web.Request) -> web.Response:
        self.requests.append(f"{request.method} {request.path}")
        if request.method == "DELETE":
            self.body = await request.json()
            self.deleted.set()
        elif request.method == "PATCH":
            self.pod["status"] = (await request.json())["status"]
            version = int(self.pod["metadata"]["resourceVersion"]) + 1
            self.pod["metadata"]["resourceVersion"] = str(version)
            if self.pod["status"]["phase"] == "Running":
                # From here on the machine has no plans of its own that would wake it.
                self.pod["metadata"]["deletionTimestamp"] = "now"
        return web.json_response(self.pod)


async def test_a_deletion_that_arrives_with_an_answer_is_not_missed(tmp_path: Path) -> None:
    server = PodServer()
    async for api in connect(server, tmp_path):
        kubelet = Kubelet(api, EventRecorder(api), ["simulated-1"])
        kubelet.changed(json.loads(json.dumps(server.pod)))
        task = asyncio.create_task(kubelet.run())
        try:
            async with asyncio.timeout(10):
                await server.deleted.wait()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    assert server.body == {"gracePeriodSeconds": 0, "preconditions": {"uid": "u-1"}}
    assert server.requests[0] == "PATCH /api/v1/namespaces/shop/pods/api/status"


async def test_pods_of_other_nodes_are_left_alone(tmp_path: Path) -> None:
    server = PodServer()
    server.pod["spec"]["nodeName"] = "real-1"
    async for api in connect(server, tmp_path):
        kubelet = Kubelet(api, EventRecorder(api), ["simulated-1"])
        kubelet.changed(server.pod)
        assert kubelet.find("shop", "api") is None
