"""A proxy that can be set to send everything to one replica."""

from collections.abc import Callable, Sequence

from rayspan_serving import proxy
from rayspan_serving.balance import Target
from rayspan_serving.direct import Direct
from settable_engine import Settings
from starlette.middleware import Middleware


def middlewares() -> list[Middleware]:
    """The proxy's own; while it is to be skewed, there is one replica for it."""
    found = proxy.middlewares()
    (direct,) = (one for one in found if one.cls is Direct)
    direct.kwargs["targets"] = skewed(direct.kwargs["targets"])
    return found


def skewed(targets: Callable[[], Sequence[Target]]) -> Callable[[], Sequence[Target]]:
    return lambda: targets()[:1] if Settings.read().skew else targets()
