"""Where points are run: one API server for all; a namespace, a proxy, a world and an operator for each."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
from rayspan.settings import Settings

from tests.api.server import free_port
from tests.matrix.api import Api
from tests.matrix.faults import Hands
from tests.matrix.operators import Operator
from tests.matrix.proxy import Proxy
from tests.matrix.scenarios import KIND, NAME
from tests.matrix.state import Namespace
from tests.matrix.world import World

MASTER_KEY: Final = "00" * 32
API_SECONDS: Final = 10.0
"""The operator's time-out for one request. Its default of 20 s would only make these runs longer."""
RESYNC_SECONDS: Final = 10.0
"""How often the operator looks for deployments that no event told of: 300 s by default."""
RESTART_SECONDS: Final = 0.3
"""From the operator's end to its next start."""
GATHER_SECONDS: Final = 3.0
"""How long a restart of the API server waits for other points that want one too."""


class Restarts:
    """Restarts of the API server, each shared by the points that ask for one at about the same time."""

    def __init__(self, restart: Callable[[], None]) -> None:
        self._restart = restart
        self._next: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self) -> None:
        """Have it restarted; returns when it answers again."""
        if self._next is None:
            self._next = asyncio.create_task(self._soon())
        await asyncio.shield(self._next)

    async def _soon(self) -> None:
        await asyncio.sleep(GATHER_SECONDS)
        self._next = None
        async with self._one_at_a_time:
            await asyncio.to_thread(self._restart)


@dataclass
class Place:
    """Where one point is run."""

    namespace: Namespace
    proxy: Proxy
    world: World
    operator: Operator
    hands: Hands
    looks_before: int = 0
    """Of the proxy, when the operator that runs now was started."""
    prepared: bool = False
    """Whether the steps before a fault are done."""
    starting: asyncio.Task[None] | None = None

    def note(self, label: str) -> None:
        """Write into the operator's log what is run next."""
        with self.operator.log.open("a") as log:
            log.write(f"--- {label}\n")

    def kill(self) -> None:
        """Kill the operator, and have another one started."""
        self.operator.kill()
        self.starting = asyncio.create_task(self._start_again())

    async def _start_again(self) -> None:
        await asyncio.sleep(RESTART_SECONDS)
        self.looks_before = self.proxy.looks
        self.operator.start()
        self.starting = None

    def looked(self) -> bool:
        """Whether the operator that runs now has looked at what there is."""
        return self.starting is None and self.proxy.looks > self.looks_before


@dataclass
class Lab:
    """All places."""

    api: Api
    upstream: aiohttp.ClientSession
    token: str
    folder: Path
    restart: Restarts
    ray_ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    _places: int = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Place]:
        """A new place with an operator that runs; nothing of it is left afterwards, but its log."""
        self._places += 1
        name = f"matrix-{secrets.token_hex(4)}"
        folder = self.folder / name
        folder.mkdir()
        # Addresses of pods: this machine's own loopback, so that Ray's dashboard can be there.
        prefix = f"127.{64 + self._places // 250}.{1 + self._places % 250}"
        await self.api.create_namespace(name)
        proxy = Proxy(self.upstream, free_port())
        await proxy.start()
        place = self._place(name, prefix, proxy, folder)
        world = asyncio.create_task(place.world.run())
        place.operator.start()
        try:
            yield place
        finally:
            place.operator.kill()
            for task in (place.starting, world):
                if task is not None:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
            place.operator.kill()
            await proxy.stop()
            await self.api.delete_namespace(name)

    def _place(self, name: str, prefix: str, proxy: Proxy, folder: Path) -> Place:
        key, kubeconfig = folder / "key", folder / "kubeconfig"
        key.write_text(MASTER_KEY)
        kubeconfig.write_text(_kubeconfig(proxy.port, self.token))
        settings = Settings(
            watch_namespaces=(name,),
            kubeconfig=str(kubeconfig),
            key_file=str(key),
            listen_port=0,
            metrics_port=0,
            api_timeout_seconds=API_SECONDS,
            resync_seconds=RESYNC_SECONDS,
        )

        async def delete() -> None:
            await self.api.delete(name, KIND, NAME)

        place: Place
        place = Place(
            Namespace(self.api, name, prefix, MASTER_KEY.encode()),
            proxy,
            World(self.api, name, proxy, prefix, self.ray_ports[0]),
            Operator(settings, self.ray_ports, folder / "operator.log"),
            Hands(lambda: place.kill(), self.restart, delete),
        )
        return place


@asynccontextmanager
async def lab(kubeconfig: Path, folder: Path, restart: Callable[[], None]) -> AsyncIterator[Lab]:
    """A lab at an API server."""
    api = Api(kubeconfig)
    connector = aiohttp.TCPConnector(ssl=False, limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    upstream = aiohttp.ClientSession(
        api.server,
        connector=connector,
        timeout=timeout,
        auto_decompress=False,
        skip_auto_headers=("Accept-Encoding",),
    )
    try:
        async with upstream:
            yield Lab(api, upstream, api.token, folder, Restarts(restart))
    finally:
        await api.close()


def _kubeconfig(port: int, token: str) -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "matrix",
            "contexts": [{"name": "matrix", "context": {"cluster": "matrix", "user": "matrix"}}],
            "clusters": [{"name": "matrix", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "matrix", "user": {"token": token}}],
        }
    )
