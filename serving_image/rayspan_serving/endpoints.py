"""The OpenAI endpoints: Ray's, whose streams say how they ended, in the errors that OpenAI's clients know.

Who is asked, and what is done when it is lost, is for the two places that have them: the ingress
(`rayspan_serving.ingress`), and each replica for itself (`rayspan_serving.replica_http`).
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Form, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from ray.llm._internal.serve.core.configs.openai_api_models import (
    ChatCompletionRequest,
    CompletionRequest,
    EmbeddingRequest,
    ScoreRequest,
    TranscriptionRequest,
)
from ray.serve.llm.ingress import OpenAiIngress as RayOpenAiIngress
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse

from rayspan_serving import errors, routes, stream
from rayspan_serving.gate import Deadline, Doorkeeper

logger = logging.getLogger("ray.serve")

Call = Callable[[], Awaitable[Response]]


class Endpoints(RayOpenAiIngress):
    """Each endpoint's answer is `_answer`'s."""

    def __init__(self, llm_deployments: dict[str, Any], model_cards: dict[str, Any], **more: Any) -> None:
        super().__init__(llm_deployments, model_cards, **more)
        (self._model,) = llm_deployments

    async def _answer(self, request: Request, call: Call) -> Response:
        raise NotImplementedError

    async def chat(self, body: ChatCompletionRequest, request: Request) -> Response:
        call = super().chat
        return await self._answer(request, lambda: call(body, request))

    async def completions(self, body: CompletionRequest, request: Request) -> Response:
        call = super().completions
        return await self._answer(request, lambda: call(body, request))

    async def embeddings(self, body: EmbeddingRequest, request: Request) -> Response:
        call = super().embeddings
        return await self._answer(request, lambda: call(body, request))

    async def transcriptions(
        self, body: Annotated[TranscriptionRequest, Form()], request: Request
    ) -> Response:
        call = super().transcriptions
        return await self._answer(request, lambda: call(body, request))

    async def score(self, body: ScoreRequest, request: Request) -> Response:
        call = super().score
        return await self._answer(request, lambda: call(body, request))

    async def _begun(self, response: StreamingResponse) -> Response:
        """The stream, once its first piece is there and is no error: until then the status is still ours."""
        pieces = aiter(response.body_iterator)
        first = await anext(pieces)
        found = stream.chunk(first if isinstance(first, str) else bytes(first))
        if found.error and not found.generated:
            code = found.error_code or 500
            if code >= 500:
                raise LostBeforeOutput(str(first))
            return JSONResponse(next(stream.events(str(first))), status_code=code)
        response.body_iterator = self._rest(first, pieces)
        return response

    async def _rest(self, first: Any, pieces: AsyncIterator[Any]) -> AsyncIterator[Any]:
        try:
            yield first
            async for piece in pieces:
                yield piece
        except Exception as error:
            logger.warning("a stream broke: %s", error)
            yield errors.last_event(*errors.describe(error, self._model))

    def _failure(self, error: Exception) -> Response:
        status, message, kind = errors.describe(error, self._model)
        if status >= 500:
            logger.warning("answered %d: %r", status, error)
        return errors.response(status, message, kind)


class LostBeforeOutput(Exception):
    """The engine reported its own failure in place of a first token."""


errors.LOST_REPLICA.add(LostBeforeOutput.__name__)


def web_app() -> FastAPI:
    """The application that carries the routes. Middleware added last is outermost.

    The layers are plain ASGI: Ray's own stack puts two `BaseHTTPMiddleware` around each stream, which copy every
    piece through a queue and a task.
    """
    app = FastAPI(title="Rayspan", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_exception_handler(RequestValidationError, invalid_request)
    app.add_exception_handler(HTTPException, refused)
    app.add_middleware(Deadline)
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])
    app.add_middleware(Doorkeeper)
    return app


async def invalid_request(request: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) and error.errors() else {}
    place = ".".join(str(part) for part in first.get("loc", ()) if part != "body")
    text = f"{first.get('msg', 'Invalid request')}" + (f" (at {place})" if place else "")
    return errors.response(400, text, "invalid_request_error")


async def refused(request: Request, error: Exception) -> Response:
    """Ours and FastAPI's own: a path or a method that is none of `routes`."""
    status, message, kind = errors.describe(error, "")
    if status == 404 and not routes.served(request.url.path):
        return routes.nothing_here(request.scope)
    return errors.response(status, message, kind)
