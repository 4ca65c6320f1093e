"""The part of Argo CD's ConfigMap argocd-cm that Rayspan wants, from the health check in the chart."""

from __future__ import annotations

from pathlib import Path

import yaml

SCRIPT = Path(__file__).resolve().parent.parent / "charts" / "rayspan" / "files" / "argocd-health.lua"
APPLICATION = """\
-- Of an Application itself, so that one of a later sync wave waits for it; Argo CD has had none by default since 1.8.
if obj.status ~= nil and obj.status.health ~= nil and obj.status.health.status ~= nil then
  return { status = obj.status.health.status, message = obj.status.health.message or "" }
end
return { status = "Progressing", message = "" }
"""
NOTICE = """\
# Made by `make crds` from charts/rayspan/files/argocd-health.lua. Do not edit. Merged into the ConfigMap that is there:
#   kubectl -n argocd patch configmap argocd-cm --type merge --patch-file examples/gitops/argocd/argocd-cm.yaml
"""


class _Block(str):
    """Text that is written as a block, as it stands."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(
    _Block, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")
)


def config_map() -> str:
    """A patch of the ConfigMap."""
    data = {
        "resource.customizations.health.rayspan.dev_LLMDeployment": _Block(
            SCRIPT.read_text(encoding="utf-8")
        ),
        "resource.customizations.health.argoproj.io_Application": _Block(APPLICATION),
    }
    text: str = yaml.dump({"data": data}, Dumper=_Dumper, sort_keys=False, width=1000)
    return NOTICE + text
