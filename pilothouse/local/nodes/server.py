"""The kubelet's HTTPS interface, as far as the API server and people use it.

One listener a node, all on the loopback address. Clients prove themselves with a certificate of the
cluster's authority, as the API server does; everybody else is turned away in the TLS handshake.
"""

import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from pilothouse.local.nodes.clock import clock
from pilothouse.local.nodes.kubelet import HOST_IP, Kubelet, Pod
from pilothouse.local.nodes.logs import ContainerLog, Line
from pilothouse.local.nodes.pods.documents import Document, precise_timestamp, timestamp
from pilothouse.models.errors import PermanentError


def listen(nodes: list[str]) -> dict[str, socket.socket]:
    """Reserve a free loopback port for each node; open until served or closed."""
    listeners = {}
    for node in nodes:
        listener = socket.socket()
        listener.bind((HOST_IP, 0))
        listeners[node] = listener
    return listeners


def tls_context(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """A server context that demands a client certificate.

    Raises:
        PermanentError: `InvalidRequest`, a file is missing or is no certificate or key.
    """
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ca))
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise PermanentError(
            "InvalidRequest", f"cannot serve with {ca}, {certificate} and {key}: {error}"
        ) from error
    context.verify_mode = ssl.CERT_REQUIRED
    return context


class KubeletServer:
    """Serves what `Kubelet` knows."""

    def __init__(self, kubelet: Kubelet, listeners: Mapping[str, socket.socket]) -> None:
        self._kubelet = kubelet
        self._listeners = dict(listeners)
        self._nodes = {s.getsockname()[1]: node for node, s in self._listeners.items()}
        app = web.Application()
        app.add_routes([
            web.get("/healthz", self._health),
            web.get("/pods", self._pods),
            web.get("/stats/summary", self._stats),
            web.get("/containerLogs/{namespace}/{pod}/{container}", self._logs),
            *(
                web.route("*", f"/{verb}/{{rest:.*}}", self._cannot)
                for verb in ("exec", "attach", "portForward", "run")
            ),
        ])
        # Cancellation: a reader who leaves a silent log must not stay with us for ever.
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True
        )

    async def start(self, tls: ssl.SSLContext) -> None:
        """Begin to serve on every listener."""
        await self._runner.setup()
        for listener in self._listeners.values():
            await web.SockSite(self._runner, listener, ssl_context=tls).start()

    async def stop(self) -> None:
        """End every stream and close every listener. Idempotent."""
        await self._runner.cleanup()
        for listener in self._listeners.values():
            listener.close()

    def _node(self, request: web.Request) -> str:
        """Which node was asked: each has a port of its own."""
        transport = request.transport
        address = transport.get_extra_info("sockname") if transport else None
        return self._nodes.get(address[1], "") if address else ""

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _pods(self, request: web.Request) -> web.Response:
        items = self._kubelet.pods(self._node(request))
        return web.json_response({
            "apiVersion": "v1",
            "kind": "PodList",
            "metadata": {},
            "items": items,
        })

    async def _stats(self, request: web.Request) -> web.Response:
        node = self._node(request)
        return web.json_response({
            "node": {"nodeName": node, "startTime": timestamp(clock())},
            "pods": [_pod_stats(document) for document in self._kubelet.pods(node)],
        })

    async def _cannot(self, request: web.Request) -> web.Response:
        verb = request.path.split("/")[1]
        return web.Response(status=501, text=f"simulated nodes cannot {verb}")

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        try:
            query = _LogQuery(request)
        except ValueError as error:
            return web.Response(status=400, text=f"bad log request: {error}")
        pod = self._kubelet.find(request.match_info["namespace"], request.match_info["pod"])
        container = request.match_info["container"]
        if pod is None:
            return web.Response(status=404, text=f'pod "{request.match_info["pod"]}" not found')
        log = pod.logs.get(container)
        lines = log.read(query.previous, query.tail, query.since) if log else None
        if log is None or lines is None:
            return web.Response(status=400, text=_why_no_log(pod, container, query.previous))
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        await response.prepare(request)
        await query.write(response, lines)
        if query.follow and not query.previous:
            await self._follow(response, query, log, lines)
        await response.write_eof()
        return response

    async def _follow(
        self,
        response: web.StreamResponse,
        query: "_LogQuery",
        log: ContainerLog,
        lines: list[Line],
    ) -> None:
        last = lines[-1].number if lines else log.last
        try:
            async for line in log.follow(last):
                await query.write(response, [line])
        except ConnectionError:
            return  # the reader has left


class _LogQuery:
    """The query of a log request.

    Raises:
        ValueError: a number is none.
    """

    def __init__(self, request: web.Request) -> None:
        query = request.query
        self.previous = query.get("previous") == "true"
        self.follow = query.get("follow") == "true"
        self._timestamps = query.get("timestamps") == "true"
        tail = query.get("tailLines")
        self.tail = None if tail is None else int(tail)
        seconds = query.get("sinceSeconds")
        self.since = 0.0 if seconds is None else clock() - int(seconds)
        limit = query.get("limitBytes")
        self._left = None if limit is None else int(limit)

    async def write(self, response: web.StreamResponse, lines: list[Line]) -> None:
        """Send lines, as far as `limitBytes` allows."""
        text = "".join(
            f"{precise_timestamp(line.at)} {line.text}\n" if self._timestamps else f"{line.text}\n"
            for line in lines
        )
        data = text.encode()
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        if data:
            await response.write(data)


def _why_no_log(pod: Pod, container: str, previous: bool) -> str:
    metadata = pod.document["metadata"]
    if previous:
        name = metadata["name"]
        return f'previous terminated container "{container}" in pod "{name}" not found'
    status = pod.document.get("status") or {}
    kinds = ("initContainerStatuses", "containerStatuses")
    for entry in (entry for kind in kinds for entry in status.get(kind) or ()):
        waiting = (entry.get("state") or {}).get("waiting")
        if entry["name"] == container and waiting:
            reason = waiting.get("reason", "")
            return (
                f'container "{container}" in pod "{metadata["name"]}" is waiting to start: {reason}'
            )
    return f'container "{container}" in pod "{metadata["name"]}" has printed nothing'


def _pod_stats(document: Document) -> Document:
    metadata = document["metadata"]
    reference = {key: metadata[key] for key in ("name", "namespace", "uid")}
    return {"podRef": reference, "startTime": metadata.get("creationTimestamp"), "containers": []}
