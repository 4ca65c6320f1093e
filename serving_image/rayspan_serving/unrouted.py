"""503 in place of Serve's 404 while no application is up (plain ASGI, in Serve's HTTP proxy).

Until an application has started, and while it is started anew, Serve's proxy knows no route and answers every path
with 404 in plain text (proxy.py). Clients take that for final, and monitoring takes it for theirs; it is neither. Our
application takes every path and answers in JSON, so a 404 in plain text is never its own.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rayspan_serving import errors
from rayspan_serving.clock import response_header


class Unrouted:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        unrouted = False

        async def answer(message: Message) -> None:
            nonlocal unrouted
            if message["type"] == "http.response.start" and message["status"] == 404:
                unrouted = response_header(message, b"content-type").startswith(b"text/plain")
                if unrouted:
                    await errors.no_application()(scope, receive, send)
            if not unrouted:
                await send(message)

        await self.app(scope, receive, answer if scope["type"] == "http" else send)
