"""Nothing to fetch: a model that lies in a folder of the pod needs no preparation of its nodes.

Ray Serve LLM starts one task per stage node before each start of a replica, to download the model. Each task loads
vLLM first: on a busy machine 10 s and more, of every recovery, for nothing.
"""

from ray.llm._internal.common.callbacks.base import CallbackBase


class NothingToFetch(CallbackBase):
    async def on_before_node_init(self) -> None:
        self.ctx.run_init_node = False
