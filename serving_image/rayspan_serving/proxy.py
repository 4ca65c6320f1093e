"""What runs in Serve's HTTP proxy on every serving node: the list of what is served, the clock, the short way to a replica,
the farewell of a pod that goes away, and an answer while there is no application, or no head. On the head, which no
client is sent to, there is only its health to ask for.

Serve adds the middlewares of the function that RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH names
(`rayspan_serving.proxy:middlewares`, on the head `rayspan_serving.proxy:of_the_head`) to each proxy that it starts.
"""

import logging
import os

import ray
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # a compiled module
from starlette.middleware import Middleware

from rayspan_serving.clock import Clock
from rayspan_serving.direct import Direct
from rayspan_serving.farewell import Farewell
from rayspan_serving.gate import operators
from rayspan_serving.headless import Headless
from rayspan_serving.meter import Meter
from rayspan_serving.raylet import answers
from rayspan_serving.routes import HEALTH, Allowed
from rayspan_serving.targets import Targets
from rayspan_serving.unrouted import Unrouted

logger = logging.getLogger("ray.serve")


def middlewares() -> list[Middleware]:
    """All of them, innermost first, for the model that RAYSPAN_MODEL names, of the Serve application RAYSPAN_APPLICATION."""
    model = os.environ.get("RAYSPAN_MODEL", "")
    ours = operators(os.environ)
    targets = Targets(os.environ.get("RAYSPAN_APPLICATION", ""), model)
    return [
        Middleware(Headless, answers=head_answers),
        Middleware(Unrouted),
        Middleware(Direct, targets=targets, ours=ours),
        Middleware(Clock, recorder=lambda: Meter(model), ours=ours),
        Middleware(Allowed),
        Middleware(Farewell),
    ]


def head_answers() -> bool:
    """Whether the head that this node belongs to does. A new one in its place has the same name, and knows nobody here."""
    own = ray._private.worker.global_worker.gcs_client
    try:
        return answers(own.address) and GcsClient(address=own.address).cluster_id == own.cluster_id
    except Exception as error:
        logger.warning("the head does not say who it is: %r", error)
        return False


def of_the_head() -> list[Middleware]:
    """The head has a proxy although nothing serves there, and it would send requests on, unmeasured."""
    return [Middleware(Allowed, paths=(HEALTH,))]
