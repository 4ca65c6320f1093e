"""Thousands of generated LLMDeployments and chains of edits on an API server of their own.

    make generated            # OPTIONS="--deployments 5000 --chains 1000 --seed 1"

First the API server alone, the operator stopped: each object that the schema's types allow is taken, or refused with the
words of the rules that it breaks; each mutant is refused with the field named. Then the operator, given all that were
taken: each comes to its end, without a traceback. The tests in tests/api do the same with fewer.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.api.conftest import Operator, install, kuberay_crds, node
from tests.api.direct import NODE, Direct, direct
from tests.api.kubelet import inspections_answered
from tests.api.server import api_server
from tests.conftest import CRDS
from tests.generated.admission import Judged, judge
from tests.generated.documents import NODES, generate
from tests.generated.handling import Handled, chains, handle
from tests.generated.report import Steps, tell, tracebacks
from tests.kubectl import kubectl

NAMESPACE = "generated"
INSIDERS = '{"rayspan": [{"podSelector": {}}], "kuberay": [{"podSelector": {}}]}'
"""Without any, NetworkPolicies are not made and ``spec.serving.allowFrom`` is refused."""


async def work(options: argparse.Namespace, kubeconfig: Path, folder: Path) -> int:
    """All of it; the exit code."""
    steps = Steps("generated", options.deployments)
    specs = await asyncio.to_thread(generate, options.deployments, options.seed, steps)
    async with direct(kubeconfig) as api:
        judged = await judge(api, specs, len(specs), Steps("asked of the API server", 2 * len(specs)))
        for name in NODES:
            await api.create(NODE, "", node(name, pods=1000))
        operator = Operator("", folder, RAYSPAN_RAY_INSIDERS=INSIDERS)
        try:
            async with inspections_answered(api):
                handled, chained = await operated(api, operator, judged, options)
        finally:
            operator.stop()
    log = operator.log.read_text()
    tell(judged, handled, chained, log)
    good = not (judged.wrong or handled.stuck or chained.stuck or chained.wrong or tracebacks(log))
    if not good:
        print(log[-20000:])
    return 0 if good else 1


async def operated(
    api: Direct, operator: Operator, judged: Judged, options: argparse.Namespace
) -> tuple[Handled, Handled]:
    """The part with the operator."""
    taken, numbers = judged.taken, range(options.seed * 10**6, options.seed * 10**6 + options.chains)
    handled = await handle(api, NAMESPACE, taken, Steps("brought to their end", len(taken)))
    steps = Steps("chains of edits", options.chains)
    return handled, await chains(api, NAMESPACE, taken, numbers, operator, steps)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--deployments", type=int, default=5000)
    parser.add_argument("--chains", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    kuberay, began = kuberay_crds(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, api_server(Path(folder)) as server:
        os.environ["KUBECONFIG"] = str(server.kubeconfig)
        install(*kuberay, *(yaml.safe_load(path.read_text()) for path in CRDS.glob("*.yaml")))
        kubectl("create", "namespace", NAMESPACE)
        code = asyncio.run(work(options, server.kubeconfig, Path(folder)))
    print(f"{time.monotonic() - began:.0f} s; seed {options.seed}")
    sys.exit(code)


if __name__ == "__main__":
    main()
