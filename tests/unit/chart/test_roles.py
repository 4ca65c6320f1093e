"""What the operator may do: no more than it uses, and nothing outside of the namespaces that are listed."""

from __future__ import annotations

from tests.unit.chart.rendered import Object, kinds, one, render

RESTRICTED = ("--set", "watchNamespaces={llm-a,llm-b}")
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding"}


def grants(objects: list[Object], kind: str) -> set[tuple[str, str, str]]:
    """(group, resource, verb) of all roles of a kind."""
    return {
        (group, resource, verb)
        for role in objects
        if role["kind"] == kind
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_secrets_are_written_and_never_read() -> None:
    verbs = {verb for _, resource, verb in grants(render(), "ClusterRole") if resource == "secrets"}
    assert verbs == {"create", "patch"}


def test_there_is_no_wildcard_and_nothing_that_runs_code() -> None:
    granted = grants(render(), "ClusterRole")
    assert not [each for each in granted if "*" in each]
    assert not [each for each in granted if each[1].startswith("pods/") or "proxy" in each[1]]
    assert not [each for each in granted if each[1] == "pods" and each[2] not in ("get", "list", "watch")]
    assert len(granted) <= 40


def test_with_listed_namespaces_nothing_is_granted_in_the_cluster() -> None:
    objects = render(*RESTRICTED)
    assert kinds(objects).isdisjoint(CLUSTER_WIDE)
    roles = [each["metadata"]["namespace"] for each in objects if each["kind"] == "Role"]
    bound = [each["metadata"]["namespace"] for each in objects if each["kind"] == "RoleBinding"]
    assert roles == bound == ["llm-a", "llm-b"]


def test_a_role_in_a_namespace_has_what_the_clusterwide_one_has_but_for_what_has_no_namespace() -> None:
    everywhere, there = grants(render(), "ClusterRole"), grants(render(*RESTRICTED), "Role")
    assert everywhere - there == {
        ("", "nodes", "list"),
        ("apiextensions.k8s.io", "customresourcedefinitions", "list"),
        ("apiextensions.k8s.io", "customresourcedefinitions", "watch"),
    }
    assert there < everywhere


def test_network_policies_are_made_and_changed_or_where_none_are_made_removed() -> None:
    for values in ((), RESTRICTED, ("--set", "replicas=2")):
        kind = "Role" if values == RESTRICTED else "ClusterRole"
        for enabled, wanted in (("true", {"get", "create", "patch"}), ("false", {"get", "delete"})):
            objects = render(*values, "--set", f"rayPods.networkPolicy.enabled={enabled}")
            granted = {
                (group, verb) for group, what, verb in grants(objects, kind) if what == "networkpolicies"
            }
            assert granted == {("networking.k8s.io", verb) for verb in wanted}


def test_listing_nodes_is_the_one_grant_in_the_cluster_that_can_be_given_back() -> None:
    assert grants(render(*RESTRICTED, "--set", "listNodes=true"), "ClusterRole") == {("", "nodes", "list")}


def test_every_binding_is_for_the_operators_account_and_its_own_role() -> None:
    for values in ((), (*RESTRICTED, "--set", "listNodes=true"), (*RESTRICTED, "--set", "replicas=2")):
        objects = render(*values, "--set", "serviceAccount.name=worker")
        names = {
            (each["kind"], each["metadata"]["name"]) for each in objects if each["kind"].endswith("Role")
        }
        bindings = [each for each in objects if each["kind"].endswith("RoleBinding")]
        assert bindings
        for each in bindings:
            account = {"kind": "ServiceAccount", "name": "worker", "namespace": "rayspan-system"}
            assert each["subjects"] == [account]
            assert (each["roleRef"]["kind"], each["roleRef"]["name"]) in names


def test_the_lease_is_granted_only_where_it_is_taken_and_by_name_where_that_can_be() -> None:
    assert "Role" not in kinds(render())
    for values in (("--set", "replicas=2"), ("--set", "leaderElection=true")):
        (role,) = (each for each in render(*values) if each["kind"] == "Role")
        (container,) = one(render(*values), "Deployment")["spec"]["template"]["spec"]["containers"]
        variables = {each["name"]: each.get("value") for each in container["env"]}
        place = (variables["RAYSPAN_LEASE_NAMESPACE"], variables["RAYSPAN_LEASE_NAME"])
        assert role["metadata"]["namespace"] == place[0] == "rayspan-system"
        leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
        assert role["rules"] == [
            {**leases, "verbs": ["create"]},
            {**leases, "resourceNames": [place[1]], "verbs": ["get", "update"]},
        ]
    assert grants(render("--set", "replicas=2"), "ClusterRole") == grants(render(), "ClusterRole")
