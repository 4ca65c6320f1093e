"""The OpenAI endpoints with answers instead of waiting.

Ray's ingress leaves a request hanging while no replica is up, and gives a bare 500 when the replica dies under
it. Here
- no replica up: 503 with Retry-After, at once, also for requests that already wait for one;
- the replica is lost before anything was generated: asked again of another one, if there is one;
- lost after that: the stream ends with an error event, so that the client knows the text is cut;
- the operator's probe names the replica that it is meant for, so that one which is stuck cannot hide behind others.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable
from typing import Any

from fastapi import Request
from ray.serve.context import _get_serve_request_context  # the id under which Serve's router knows a request
from starlette.responses import Response, StreamingResponse

from rayspan_serving import errors, replicas
from rayspan_serving.clock import REPLICA_HEADER
from rayspan_serving.endpoints import Call, Endpoints
from rayspan_serving.gate import operators

logger = logging.getLogger("ray.serve")

ATTEMPTS = 3
PAUSE_SECONDS = 0.5
LOOK_SECONDS = 0.2


class NoReplica(Exception):
    """No replica is up, and none has taken the request."""


class OpenAiIngress(Endpoints):
    """One per node with a stage, each serving the one model of the application."""

    def __init__(self, llm_deployments: dict[str, Any], model_cards: dict[str, Any], **more: Any) -> None:
        super().__init__(llm_deployments, model_cards, **more)
        self._deployment = llm_deployments[self._model].deployment_name
        self._ours = operators(os.environ)

    async def _answer(self, request: Request, call: Call) -> Response:
        request_id = _get_serve_request_context().request_id
        meant = request.headers.get(REPLICA_HEADER.decode())
        if meant and self._ours(request.scope):
            replicas.want(request_id, meant)
        try:
            response = await self._attempts(request_id, call)
            response.headers[REPLICA_HEADER.decode()] = replicas.taken(request_id) or ""
            return response
        finally:
            replicas.done(request_id)

    async def _attempts(self, request_id: str, call: Call) -> Response:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = await self._unless_alone(request_id, call())
                if isinstance(response, StreamingResponse):
                    return await self._begun(response)
                return response
            except NoReplica:
                return errors.no_replica(self._model)
            except Exception as error:
                if not errors.lost_replica(error):
                    return self._failure(error)
                logger.warning("attempt %d of %d lost its replica: %s", attempt, ATTEMPTS, error)
                lost = error
            replicas.forget(request_id)
            await asyncio.sleep(PAUSE_SECONDS)
        return self._failure(lost)

    async def _unless_alone(self, request_id: str, call: Awaitable[Response]) -> Response:
        """The call's result; NoReplica as soon as it waits for a replica while none is up."""
        task = asyncio.ensure_future(call)
        try:
            while True:
                done, _ = await asyncio.wait({task}, timeout=LOOK_SECONDS)
                if done:
                    return task.result()
                if replicas.up(self._deployment) == 0 and replicas.taken(request_id) is None:
                    raise NoReplica
        finally:
            task.cancel()
