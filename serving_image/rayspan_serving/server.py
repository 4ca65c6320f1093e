"""One replica of the model, which fails when one of its stages does.

With stock vLLM a lost stage is logged, and then the engine waits for its answer up to
VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS while the replica reports itself healthy and takes requests. Here the replica
watches its stages itself, and ends: requests in flight fail at once, Serve starts another replica.
"""

import asyncio
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import ray
from ray import serve
from ray.llm._internal.serve.core.configs.openai_api_models import ErrorResponse, to_model_metadata
from ray.serve.llm.deployment import LLMServer as RayLLMServer
from ray.serve.llm.openai_api_models import CompletionRequest
from ray.util.placement_group import get_current_placement_group, placement_group_table

from rayspan_serving import last_words
from rayspan_serving.engine_clock import timed
from rayspan_serving.fetching import fetching
from rayspan_serving.gate import operators
from rayspan_serving.meter import EngineMeter
from rayspan_serving.placement import split_stages
from rayspan_serving.replica_http import Desk, ReplicaServer, desk_app
from rayspan_serving.stages import Stages
from rayspan_serving.targets import HTTP_URL

logger = logging.getLogger("ray.serve")

STAGE_LABEL = "rayspan.dev/stage"
"""Of a Ray node, as the operator sets it."""

LAST_WORDS_SECONDS = 1.0
"""For the errors of the requests in flight to reach the ingress before the process ends."""

PROOF_SECONDS = 300.0
"""For the first token; a large model compiles and captures graphs before it."""


class StageDraining(RuntimeError):
    """A node of this replica is going away: told to Serve through the health check."""


class StageSplit(RuntimeError):
    """Tensor ranks that belong on one node are not: Serve starts the replica anew with another placement group."""


class LLMServer(RayLLMServer):
    _stages: Stages | None = None
    _http: ReplicaServer | None = None

    async def start(self) -> None:
        self._refuse_split_ranks()
        with fetching(str(self._llm_config.model_loading_config.model_source or "/")):
            await super().start()  # type: ignore[no-untyped-call]
        await self._prove()
        self._stages = Stages(self._stage_prefix(), self._nodes())
        threading.Thread(target=self._watch, name="stage-watch", daemon=True).start()
        self._http = self._server()
        self._http.begin()

    def _server(self) -> ReplicaServer:
        """For the proxies, which ask this replica without Serve between."""
        model, context = self._llm_config.model_id, serve.get_replica_context()
        desk = Desk(self, model, to_model_metadata(model, self._llm_config), context.replica_id.unique_id)
        return ReplicaServer(desk_app(desk, places), ray.util.get_node_ip_address())

    async def record_routing_stats(self) -> dict[str, Any]:
        """With the address of that server, while it takes requests."""
        stats = await super().record_routing_stats()
        return {**stats, HTTP_URL: self._http.url} if self._http and self._http.started else stats

    async def __del__(self) -> None:
        """Serve has let what it sent finish; what came directly finishes too, in what is left of the time."""
        if self._http is not None:
            await self._http.end()
        await super().__del__()  # type: ignore[no-untyped-call]

    async def _start_engine(self) -> None:
        """Without Ray's telemetry actor where usage reports are off: it would report nothing, and costs 430 MB
        and some seconds of each first start."""
        file = last_words.expect()
        try:
            if os.environ.get("RAY_USAGE_STATS_ENABLED") == "0" and self.engine is not None:
                engine: Any = self.engine
                await engine.start()
            else:
                await super()._start_engine()  # type: ignore[no-untyped-call]
        except Exception as error:
            if told := last_words.read(file):
                raise last_words.EngineStartError(where(told["address"]) + told["words"]) from error
            raise

    async def _run_request(self, request: Any, **more: Any) -> Any:
        """As Ray's, with the time in the engine taken; the operator's own requests are left out of it."""
        pieces = await super()._run_request(request, **more)  # type: ignore[no-untyped-call]
        headers = getattr(more.get("raw_request_info"), "headers", None) or {}
        asked = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        if self._ours({"headers": asked}):
            return pieces
        return timed(pieces, self._engine_meter)

    @cached_property
    def _engine_meter(self) -> EngineMeter:
        return EngineMeter(serve.get_replica_context().replica_id.unique_id)

    @cached_property
    def _ours(self) -> Callable[[Any], bool]:
        return operators(os.environ)

    def _refuse_split_ranks(self) -> None:
        """Give way when the tensor ranks of a stage were put on different nodes. Pods hold exactly the GPUs of
        one stage, so replicas that straddle them come in cycles; all of them give way together, and Ray's packing
        then finds whole pods."""
        group = get_current_placement_group()
        tensor = int(self._llm_config.engine_kwargs.get("tensor_parallel_size") or 1)
        if group is None or tensor == 1:
            return
        nodes = placement_group_table(group)["bundles_to_node_id"]
        if split := split_stages(nodes, tensor):
            raise StageSplit(
                f"the tensor ranks of stage {split[0]} lie on several nodes; asking for a new place"
            )

    async def _prove(self) -> None:
        """One token through all stages before Serve may call this replica running: a stage that cannot compute
        (an attention kernel that lacks the head size, say) shows here and not as the first client's timeout, and
        what vLLM loads at its first request is loaded."""
        engine: Any = self.engine
        request = CompletionRequest.model_validate(
            {"model": self._llm_config.model_id, "prompt": "1", "max_tokens": 2, "temperature": 0.0}
        )
        began = time.monotonic()
        async with asyncio.timeout(PROOF_SECONDS):
            async for answer in engine.completions(request):
                if isinstance(answer, ErrorResponse) and "'generate'" not in answer.error.message:
                    raise RuntimeError(f"the first token failed: {answer.error.message}")
        logger.info("first token through all stages after %.1f s", time.monotonic() - began)

    async def check_health(self) -> None:
        """Unhealthy while a stage's node is being drained: Serve then stops sending requests here, lets those
        in flight finish (graceful_shutdown_timeout_s), and starts the replica anew elsewhere."""
        if self._stages is not None and (node := self._stages.draining):
            raise StageDraining(f"node {node} of this replica is being drained")
        await super().check_health()

    def _stage_prefix(self) -> str:
        """What the names of this engine's RayWorkerProc actors begin with (vllm/v1/executor/ray_utils.py)."""
        config = getattr(getattr(self.engine, "_engine_client", None), "vllm_config", None)
        instance = getattr(config, "instance_id", None)
        return f"vllm_Worker_{instance}" if instance else ""

    def _nodes(self) -> set[str]:
        group = get_current_placement_group()
        return set(placement_group_table(group)["bundles_to_node_id"].values()) if group else set()

    def _watch(self) -> None:
        assert self._stages is not None
        engine = {child.pid for child in multiprocessing.active_children()}
        self._stages.find()
        while ray.is_initialized():
            lost = self._stages.lost()
            if engine - {child.pid for child in multiprocessing.active_children()}:
                lost = lost or "the engine process ended"
            if lost:
                self._end(lost)

    def _end(self, why: str) -> None:
        """Fail the requests in flight, then this process: an actor that died is replaced at once, while an
        unhealthy one is given three checks. vLLM's client turns its engine's death into an error for each
        request; the stages that are left go with the placement group."""
        logger.error("this replica ends: %s", why)
        for child in multiprocessing.active_children():
            child.kill()
        time.sleep(LAST_WORDS_SECONDS)
        os._exit(1)


def places() -> int:
    """How many requests this replica may have at a time now."""
    limit: int = serve.get_replica_context()._deployment_config.max_ongoing_requests
    return limit


def where(address: str) -> str:
    """``stage 1, in pod tiny-x: `` for a Ray node's address; empty where it is none of theirs, or of several."""
    nodes = [node for node in ray.nodes() if node["NodeManagerAddress"] == address]
    if len(nodes) != 1:
        return ""
    stage = nodes[0].get("Labels", {}).get(STAGE_LABEL)
    return f"{f'stage {stage}, ' if stage else ''}in pod {nodes[0]['NodeManagerHostname']}: "
