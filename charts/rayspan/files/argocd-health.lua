-- Health of an LLMDeployment for Argo CD: a custom health check, key resource.customizations.health.rayspan.dev_LLMDeployment
-- of the ConfigMap argocd-cm (docs/gitops.md). Argo CD runs it with gopher-lua (Lua 5.1) and without the string library.
--
--   Suspended    spec.replicas is 0
--   Healthy      Ready: every replica answers, the newest version is applied
--   Degraded     it serves less than it should, not any more, or cannot come up without a change
--   Progressing  everything else: the operator or the cluster is at work on it

-- Reasons that waiting does not cure. PodUnschedulable is none: an autoscaler may bring the node; nor is
-- KubeRayMissing: KubeRay may be synced later.
local failures = {
  ApplyFailed = true,
  ApplicationFailed = true,
  ProxyFailed = true,
  ImagePullFailed = true,
  PodCrashing = true,
}

local function health(status, message)
  return { status = status, message = message or "" }
end

local metadata, status = obj.metadata or {}, obj.status or {}
if metadata.deletionTimestamp ~= nil then
  return health("Progressing", "It is being deleted.")
end
if status.observedGeneration == nil or status.observedGeneration ~= metadata.generation then
  return health("Progressing", "The operator has not seen this version yet.")
end

local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local function is(name, wanted)
  return conditions[name] ~= nil and conditions[name].status == wanted
end
local function words(name)
  return conditions[name] ~= nil and conditions[name].message or ""
end

if status.phase == "Stopped" then
  return health("Suspended", words("Ready"))
end
if is("Ready", "True") then
  if is("ObjectivesMet", "False") then
    return health("Healthy", words("Ready") .. " " .. words("ObjectivesMet"))
  end
  return health("Healthy", words("Ready"))
end
if is("Degraded", "True") then
  return health("Degraded", words("Degraded"))
end
if is("PlanAccepted", "False") then
  return health("Degraded", words("PlanAccepted"))
end
for _, name in ipairs({ "Provisioned", "Serving", "Ready" }) do
  if is(name, "False") and failures[conditions[name].reason] then
    return health("Degraded", words(name))
  end
end
-- It served before and does not now; while that is not known for certain, nobody is to be woken.
if status.phase == "Recovering" and is("Ready", "False") then
  return health("Degraded", words("Ready"))
end
return health("Progressing", words("Ready"))
