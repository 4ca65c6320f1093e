"""The operator process: kopf embedded, with a registry, settings and tasks of its own."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

import aiohttp
import kopf

from rayspan.cluster.client import connect
from rayspan.cluster.memory import Memories
from rayspan.cluster.nodes import Nodes
from rayspan.cluster.observe import Observer
from rayspan.decide import Decide
from rayspan.handlers import register
from rayspan.health import served
from rayspan.leading import leadership
from rayspan.reconcile import Reconcile
from rayspan.render import RenderSettings
from rayspan.report.input import Settings as ReportSettings
from rayspan.resync import resync
from rayspan.settings import Settings
from rayspan.telemetry import Telemetry, configure_logs
from rayspan.wakeups import Wakeups
from rayspan.watching import stop_on_signals, watch

log = logging.getLogger("rayspan")

_THRESHOLDS: Final = (10_000, 20, 50)
"""For Python's garbage collector. With its own it goes through all objects every few seconds, which stops everything for
0.2 s where there are a thousand deployments, and finds next to nothing: the young generations have it already."""


def run(settings: Settings) -> None:
    """Work until SIGINT or SIGTERM. Raises SettingsError before anything is touched."""
    configure_logs(settings.log_format, settings.log_level)
    settings.insiders()
    master_key, lasting = settings.master_key()
    if not lasting:
        log.warning(
            "No key file (RAYSPAN_KEY_FILE): tokens are derived from a key that this process forgets. "
            "Clusters that run cannot be read after the next start, until their pods are made anew."
        )
    gc.freeze()  # what was imported stays
    gc.set_threshold(*_THRESHOLDS)
    asyncio.run(operate(settings, master_key))


async def operate(settings: Settings, master_key: bytes, stop: asyncio.Event | None = None) -> None:
    """Work until told to stop, by a signal or the event; with leader election, from when this process leads."""
    stop = stop or asyncio.Event()
    stop_on_signals(stop)
    if settings.kubeconfig:
        # kopf logs in by itself, and finds the file only here.
        os.environ["KUBECONFIG"] = settings.kubeconfig
    telemetry = Telemetry()
    telemetry.serve(settings.listen_host, settings.metrics_port)
    lag = asyncio.create_task(telemetry.watch_the_loop())
    try:
        async with served(telemetry, settings), leadership(settings, telemetry, stop) as may_write:
            if may_write:
                await _work(settings, master_key, telemetry, may_write, stop)
    finally:
        lag.cancel()


async def _work(
    settings: Settings,
    master_key: bytes,
    telemetry: Telemetry,
    may_write: Callable[[], bool],
    stop: asyncio.Event,
) -> None:
    """Serve all deployments until told to stop. When it returns, nothing is written any more."""
    client = await connect(settings.kubeconfig, settings.api_timeout_seconds, may_write)
    # Pods' addresses come and go: no connection is kept, and no proxy of the environment is for them.
    # Pods have one address each: there is nothing to race for.
    connector = aiohttp.TCPConnector(limit=0, force_close=True, happy_eyeballs_delay=None)
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        observer = Observer(client, session, settings, master_key, time.time)
        memories = Memories(settings.window_seconds)
        nodes = Nodes(client, time.time, settings.watch_namespaces)
        render_settings = RenderSettings(
            serving_image=settings.serving_image,
            version=version("rayspan"),
            insiders=settings.insiders(),
        )
        flow = Reconcile(
            decide=Decide(observer, nodes, memories, render_settings),
            observer=observer,
            nodes=nodes,
            memories=memories,
            report_settings=ReportSettings(window_seconds=settings.window_seconds),
            telemetry=telemetry,
        )
        wakeups = Wakeups(flow, telemetry)
        registry = kopf.OperatorRegistry()
        register(registry, wakeups, settings)
        _log_in(registry, settings)
        # Beside kopf, which would wait for the loops before it ends.
        ending = asyncio.create_task(_stop_with(stop, wakeups))
        finding = asyncio.create_task(
            resync(client, settings.watch_namespaces, wakeups, settings.resync_seconds)
        )
        try:
            await watch(registry, settings, client, stop)
        finally:
            ending.cancel()
            finding.cancel()
            await wakeups.stop()
            await client.close()


async def _stop_with(stop: asyncio.Event, wakeups: Wakeups) -> None:
    await stop.wait()
    await wakeups.stop()


def _log_in(registry: kopf.OperatorRegistry, settings: Settings) -> None:
    """How kopf logs in: as the client does, the pod's service account unless a kubeconfig is named."""

    @kopf.on.login(registry=registry, id="log-in")
    def log_in(**arguments: Any) -> kopf.ConnectionInfo | None:
        in_pod = None if settings.kubeconfig else kopf.login_with_service_account(**arguments)
        return in_pod or kopf.login_with_kubeconfig(**arguments)
