"""One request and its answer between a proxy and a replica's HTTP server: what is handed on, and what is each hop's own."""

import socket
import uuid
from collections.abc import AsyncIterator

import aiohttp
from aiohttp.connector import AddrInfoType
from multidict import CIMultiDict
from starlette.types import Message, Scope
from yarl import URL

CONNECT_SECONDS = 2.0
KEEP_SECONDS = 30.0
"""Of an idle connection; the replica's server keeps it longer (`replica_http.KEEP_SECONDS`)."""
DEAD_SECONDS = (5, 2, 3)
"""A host that vanished without a word is noticed after 5 s of silence and 3 questions, 2 s apart: a prefill may take
minutes, but its host's kernel answers."""
HOP_BY_HOP = frozenset(
    b"connection content-length expect host keep-alive proxy-connection te trailer transfer-encoding upgrade".split()
)
"""Of one connection, not of the request (RFC 9110, 7.6.1), and what aiohttp writes itself."""
OF_THE_REPLICA = HOP_BY_HOP | {b"date", b"server"}
"""The proxy's own server writes these, too."""
REQUEST_ID = b"x-request-id"


def session() -> aiohttp.ClientSession:
    """Connections to replicas, kept for the next request."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_SECONDS, socket_factory=attentive),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def place(server: str, scope: Scope) -> URL:
    """The request's path and query at another server."""
    query = scope.get("query_string", b"").decode("latin-1")
    return URL(f"{server}{scope['path']}{'?' if query else ''}{query}", encoded=True)


def handed_on(scope: Scope) -> CIMultiDict[str]:
    """The request's headers for the next hop, with an id, by which the engine's log knows the request."""
    found = CIMultiDict(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in scope["headers"]
        if name.lower() not in HOP_BY_HOP
    )
    found.setdefault(REQUEST_ID.decode(), str(uuid.uuid4()))
    return found


def start(answer: aiohttp.ClientResponse) -> Message:
    headers = [
        (name.lower(), value) for name, value in answer.raw_headers if name.lower() not in OF_THE_REPLICA
    ]
    headers.append((REQUEST_ID, answer.request_info.headers[REQUEST_ID.decode()].encode("latin-1")))
    if answer.content_length is not None:
        headers.append((b"content-length", str(answer.content_length).encode()))
    return {"type": "http.response.start", "status": answer.status, "headers": headers}


def is_stream(answer: aiohttp.ClientResponse) -> bool:
    return answer.content_type == "text/event-stream"


async def pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The pieces as the replica sent them, each of whole events: the clock counts those (`rayspan_serving.stream`)."""
    parts = []
    async for data, ended in answer.content.iter_chunks():
        parts.append(data)
        if ended:
            yield b"".join(parts)
            parts.clear()
    if parts:
        yield b"".join(parts)


def attentive(address: AddrInfoType) -> socket.socket:
    """A socket that notices when the other host is gone."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    idle, interval, times = DEAD_SECONDS
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, times)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, (idle + interval * times) * 1000)
    return made
