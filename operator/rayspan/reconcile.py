"""The flow for one LLMDeployment, once: read, plan, render, apply, observe, report.

Level-triggered: it looks afresh, does what is missing, says when to look again. What is refused changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from rayspan.api.conditions import Reason
from rayspan.api.v1alpha1 import LLMDeployment, ModelStatus
from rayspan.cluster import kinds, rollout
from rayspan.cluster.inspection import model_facts
from rayspan.cluster.memory import Memories, Memory
from rayspan.cluster.nodes import Nodes
from rayspan.cluster.observe import Observer
from rayspan.cluster.status import write_status
from rayspan.cluster.stored import stored
from rayspan.errors import ApiError
from rayspan.plan.facts import NodeFacts
from rayspan.plan.model_checks import pod_template_shape
from rayspan.plan.model_facts import recalled
from rayspan.plan.plan import plan
from rayspan.plan.types import Answer, Invalid, Plan
from rayspan.render import RenderSettings, names, objects, policies_missing, settings_of
from rayspan.report import input as report
from rayspan.report.observed import Known, Unknown
from rayspan.report.scene import known
from rayspan.report.status import status
from rayspan.telemetry import Telemetry


@dataclass(frozen=True)
class Reconcile:
    """The flow, with its ways to look, to tell and to remember."""

    observer: Observer
    nodes: Nodes
    memories: Memories
    render_settings: RenderSettings
    report_settings: report.Settings
    telemetry: Telemetry

    async def __call__(self, key: tuple[str, str]) -> float | None:
        """One pass; seconds until the next look, None when there is no such object any more."""
        client, clock = self.observer.client, self.observer.clock
        thing = await client.get(kinds.LLM_DEPLOYMENT, *key)
        if thing is None or thing["metadata"].get("deletionTimestamp"):
            self.memories.forget(key)
            return None
        deployment, wrong = stored(thing)
        memory = self.memories.of(key, deployment.metadata.uid)
        running = await rollout.running_plan(client, deployment, memory)
        nodes = await self.nodes.read(*key, anew=deployment.unanswered)
        settings = settings_of(memory.rendered, deployment, self.render_settings)
        model, said = await self._plan(deployment, settings, wrong, memory, nodes)
        wanted = objects(deployment, said, settings) if isinstance(said, Plan) else ()
        refusal = await rollout.roll_out(
            client, deployment, wanted, memory, self.observer.master_key, clock()
        )
        applied = said if isinstance(said, Plan) and wanted and not refusal else None
        memory.plan = (applied or running) if deployment.spec.replicas else None
        observed = await self.observer.observe(deployment, memory, _gpu_resource(said, running))
        memory.secret_wanted |= rollout.lacks_secret(observed)
        if applied:
            await rollout.scale(client, deployment, applied, observed)
        new = status(
            report.Input(
                deployment=deployment,
                answer=said,
                observed=observed,
                nodes=await self.nodes.vouched_for(*key) if isinstance(nodes, Unknown) else nodes,
                revision=memory.rendered.get(names.REVISION) if wanted else None,
                last_good=None if observed.ray_service is None else running,
                apply_error=refusal,
                model=model or deployment.status.model,
                url=names.url(deployment, observed.port),
                selector=names.selector(deployment.metadata.name),
                service=names.serve_service(deployment.metadata.name),
                settings=self.report_settings,
            )
        )
        written = await write_status(client, deployment, new, memory, self.report_settings, clock())
        self.telemetry.told(key, new, written)
        memory.settle(new, clock())
        return self._pause(said, memory)

    async def _plan(
        self,
        deployment: LLMDeployment,
        settings: RenderSettings,
        wrong: str | None,
        memory: Memory,
        nodes: Known[tuple[NodeFacts, ...]],
    ) -> tuple[ModelStatus | None, Answer | report.Refused | report.Inspecting]:
        if wrong:
            return None, report.Refused(Reason.INVALID_SPEC, wrong)
        if odd := pod_template_shape(deployment.spec, None) or policies_missing(deployment.spec, settings):
            return None, Invalid(odd)  # before anything is rendered from it
        try:
            model = await model_facts(self.observer.client, deployment, settings, memory)
        except ApiError as error:
            refusal = f"The Job that inspects the model was refused: {error.message or error}"
            return None, report.Refused(Reason.MODEL_UNREADABLE, refusal)
        if not isinstance(model, ModelStatus):
            return None, model
        return model, plan(deployment.spec, recalled(model), known(nodes), memory.plan)

    def _pause(self, said: object, memory: Memory) -> float:
        settings = self.observer.settings
        if memory.settled or isinstance(said, Invalid | report.Refused):
            return settings.calm_seconds
        waiting = self.observer.clock() - memory.changed_at
        return min(settings.calm_seconds, max(settings.fast_seconds, waiting / settings.patience))


def _gpu_resource(said: object, running: Plan | None) -> str:
    shown = said if isinstance(said, Plan) else running
    return shown.gpu_resource if shown else "nvidia.com/gpu"
