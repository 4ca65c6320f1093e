"""The first half of the flow: read, plan, render, apply. What was decided and carried out holds until an event.

A look that no event asked for asks only Ray and the engines, which send none: it reads nothing of the Kubernetes
API but the nodes, and renders nothing, which is most of what a pass costs. Events may be missed: all is read anew after
some seconds of one that is not Ready, and after some minutes of the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rayspan.api.conditions import Reason
from rayspan.api.v1alpha1 import LLMDeployment, ModelStatus, Status
from rayspan.cluster import kinds, rollout
from rayspan.cluster.inspection import model_facts
from rayspan.cluster.memory import Memories, Memory
from rayspan.cluster.nodes import KEPT_SECONDS, Nodes
from rayspan.cluster.observe import Belongings, Observer
from rayspan.cluster.stored import stored
from rayspan.errors import ApiError
from rayspan.plan.facts import NodeFacts
from rayspan.plan.model_checks import pod_template_shape
from rayspan.plan.model_facts import recalled
from rayspan.plan.plan import plan
from rayspan.plan.types import Answer, Invalid, Plan, Unplaceable
from rayspan.render import RenderSettings, names, objects, policies_missing, settings_of
from rayspan.report.input import Inspecting, Refused
from rayspan.report.observed import Known, RayClusterView
from rayspan.report.scene import known


@dataclass(frozen=True)
class Decided:
    """One decision, and what it was made from."""

    at: float
    deployment: LLMDeployment
    """With the status that was written last."""
    said: Answer | Refused | Inspecting
    model: ModelStatus | None
    running: Plan | None
    applied: Plan | None
    """The plan that was carried out."""
    revision: str | None
    """Of the RayService that is wanted; None: none is."""
    refusal: str | None
    """The API server's words, when it refused what was rendered."""
    api: Belongings

    def holds(self, now: float, seconds: float) -> bool:
        """Whether it is no older, and leaves nothing to do: Ray sends no event when pods may go that it needs no more."""
        cluster, wanted = self.api.cluster, {self.deployment.spec.replicas}
        done = isinstance(cluster, RayClusterView) and all(
            {group.replicas, group.min_replicas, group.max_replicas} == wanted for group in cluster.groups
        )
        return done and 0 <= now - self.at < seconds

    def told(self, status: Status) -> Decided:
        """With the status that was written since."""
        return replace(self, deployment=self.deployment.model_copy(update={"status": status}))


@dataclass(frozen=True)
class Decide:
    """The half of the flow that reads and writes the Kubernetes API."""

    observer: Observer
    nodes: Nodes
    memories: Memories
    render_settings: RenderSettings

    async def __call__(self, key: tuple[str, str]) -> Decided | None:
        """Read, plan, render, apply, and see what is there; None: it is gone or going."""
        client, at = self.observer.client, self.observer.clock()
        thing = await client.get(kinds.LLM_DEPLOYMENT, *key)
        if thing is None or thing["metadata"].get("deletionTimestamp"):
            return None
        deployment, wrong = stored(thing)
        memory = self.memories.of(key, deployment.metadata.uid)
        running = await rollout.running_plan(client, deployment, memory)
        first = deployment.unanswered and running is None
        nodes = await self.nodes.read(*key, age=0.0 if first else KEPT_SECONDS)
        settings = settings_of(memory.rendered, deployment, self.render_settings)
        model, said = await self._plan(deployment, settings, wrong, memory, nodes)
        if deployment.unanswered and not first and isinstance(said, Unplaceable):
            # No edit is refused for an old reading.
            nodes = await self.nodes.read(*key, age=0.0)
            model, said = await self._plan(deployment, settings, wrong, memory, nodes)
        wanted = objects(deployment, said, settings) if isinstance(said, Plan) else ()
        refusal = await rollout.roll_out(client, deployment, wanted, memory, self.observer.master_key, at)
        applied = said if isinstance(said, Plan) and wanted and not refusal else None
        memory.plan = (applied or running) if deployment.spec.replicas else None
        return Decided(
            at=at,
            deployment=deployment,
            said=said,
            model=model,
            running=running,
            applied=applied,
            revision=memory.rendered.get(names.REVISION) if wanted else None,
            refusal=refusal,
            api=await self.observer.belongings(deployment, _gpu_resource(said, running)),
        )

    async def _plan(
        self,
        deployment: LLMDeployment,
        settings: RenderSettings,
        wrong: str | None,
        memory: Memory,
        nodes: Known[tuple[NodeFacts, ...]],
    ) -> tuple[ModelStatus | None, Answer | Refused | Inspecting]:
        if wrong:
            return None, Refused(Reason.INVALID_SPEC, wrong)
        if odd := pod_template_shape(deployment.spec, None) or policies_missing(deployment.spec, settings):
            return None, Invalid(odd)  # before anything is rendered from it
        try:
            model = await model_facts(self.observer.client, deployment, settings, memory)
        except ApiError as error:
            refusal = f"The Job that inspects the model was refused: {error.message or error}"
            return None, Refused(Reason.MODEL_UNREADABLE, refusal)
        if not isinstance(model, ModelStatus):
            return None, model
        return model, plan(deployment.spec, recalled(model), known(nodes), memory.plan)


def _gpu_resource(said: object, running: Plan | None) -> str:
    shown = said if isinstance(said, Plan) else running
    return shown.gpu_resource if shown else "nvidia.com/gpu"
