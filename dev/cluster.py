"""The cluster as a whole: up, down, and what state it is in.

`up` does what is needed and no more: nothing on a running cluster, a dead daemon's start where one died,
and on anything in between a full `down` first, so that it never builds on the half-done work of an interrupted run. The marker file, written
last, is what tells a finished start from an interrupted one.
"""

import contextlib
import fcntl
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dev import addons, control_plane, kernel, network, nodes, paths, pki, policy_agent, processes, topology
from dev.shell import Failure, attempt, say, wait_for
from dev.topology import NODES


@contextlib.contextmanager
def exclusively() -> Iterator[None]:
    """One `up` or `down` at a time on this machine."""
    paths.CACHE.mkdir(parents=True, exist_ok=True)
    with paths.LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another dev command is at work: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_up() -> bool:
    """Started to the end, no daemon dead, API server answering."""
    if not paths.MARKER.exists():
        return False
    daemons = processes.recorded()
    return bool(daemons) and all(each.alive for each in daemons.values()) and control_plane.ready()


def kept_up() -> bool:
    """Whether a finished start goes on; a daemon that died is started again, and a busy machine waited for.

    Not so where a containerd is dead: with it went its node's mount namespace, and the pods' mounts.
    """
    daemons = processes.recorded()
    dead = [name for name, each in daemons.items() if not each.alive]
    if not paths.MARKER.exists() or not daemons or any(name.startswith("containerd-") for name in dead):
        return False
    for name in dead:
        say(f"{name} was dead: starting it again")
        processes.restart(name)
    try:
        wait_for("the API server is ready", control_plane.ready, 60)
    except Failure as failure:
        say(str(failure))
        return False
    return True


def up(gpus_per_node: int) -> None:
    """Start everything, in the order in which things need each other, waiting only where one must."""
    if leftovers():
        say("clearing away what an earlier run left")
        down()
    paths.CLUSTER.mkdir(parents=True, exist_ok=True, mode=0o700)
    paths.LOGS.mkdir(exist_ok=True)
    say("network, cgroups, certificates")
    kernel.sysctls_up()
    kernel.cgroups_up()
    pki.make_all()
    network.up()
    say("etcd, API server, a containerd per node")
    control_plane.start_store()
    for node in NODES:
        nodes.start_containerd(node)
    addons.write_system_images()
    with ThreadPoolExecutor(len(NODES)) as pool:
        imports = pool.map(addons.import_system_images, NODES)
        wait_for("the API server is ready", control_plane.ready, 90, f"See {paths.LOGS}/kube-apiserver.log")
        say("controller manager, scheduler, kubelets, kube-proxies")
        control_plane.start_controllers()
        list(imports)
    for node in NODES:
        nodes.start_kubelet(node)
    nodes.start_proxies()
    policy_agent.start()
    say("CoreDNS, KubeRay")
    addons.apply_coredns()
    addons.apply_kuberay()
    wait_for("all nodes are Ready", addons.nodes_ready, 60, f"See {paths.LOGS}/kubelet-*.log")
    for node in NODES:
        if node.role == "gpu":
            addons.set_gpus(node.name, gpus_per_node)
    say("nodes ready; waiting for CoreDNS and KubeRay")
    addons.wait_for_rollouts()
    paths.MARKER.write_text(json.dumps({"gpus_per_node": gpus_per_node}))
    say("the cluster is up")


def down() -> None:
    """Remove the cluster from the machine; the caches stay."""
    pids = processes.ours()
    if pids:
        say(f"stopping {len(pids)} processes")
    paths.MARKER.unlink(missing_ok=True)
    # Hard: nothing that they could still write down outlives this. Shims that start meanwhile come second.
    processes.kill(pids)
    processes.kill(processes.ours())
    kernel.cgroups_down()
    if (paths.BIN / "kube-proxy").exists():
        attempt(paths.BIN / "kube-proxy", "--cleanup")
    network.down()
    nodes.remove_mount_points()
    kernel.sysctls_down()
    _unmount_all()
    shutil.rmtree(paths.CLUSTER, ignore_errors=True)
    if paths.CLUSTER.exists():
        raise Failure(f"{paths.CLUSTER} cannot be removed: something still has files open or mounted there")


def leftovers() -> list[str]:
    """Everything of the cluster that is on the machine, running or half-dead."""
    found = [f"process {pid}" for pid in processes.ours()] + network.leftovers() + kernel.leftovers()
    found += [f"mount {mount}" for mount in _mounts()]
    return found + ([f"folder {paths.CLUSTER}"] if paths.CLUSTER.exists() else [])


def _mounts() -> list[str]:
    """Mounts below the state folder in this mount namespace, the innermost first."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted((each for each in points if each.startswith(f"{paths.CLUSTER}/")), reverse=True)


def _unmount_all() -> None:
    for mount in _mounts():
        attempt("umount", "--lazy", mount)


def environment() -> str:
    """What a shell needs to use the cluster, as lines for `eval`."""
    lines = [
        f"export KUBECONFIG={paths.KUBECONFIG}",
        f"export PATH={paths.BIN}:$PATH",
        f"# audit log of the API server: {paths.AUDIT_LOG}",
        f"# daemons' logs: {paths.LOGS}",
        f"# cluster DNS: {topology.DNS_IP}; API server: {topology.API_URL}",
    ]
    lines += [f"# containerd of {node.name}: ctr --address {node.socket} -n k8s.io" for node in NODES]
    return "\n".join(lines)


def status() -> str:
    """Each daemon alive or dead, then the nodes and their pods."""
    daemons = processes.recorded()
    if not daemons:
        found = leftovers()
        return "down" + (f", but left on the machine: {', '.join(found)}" if found else "")
    lines = [f"{'alive' if each.alive else 'DEAD '} {name} ({each.pid})" for name, each in daemons.items()]
    lines.append("up" if is_up() else "not up: `python3 -m dev up` clears it away and starts anew")
    with contextlib.suppress(Failure):
        lines.append(addons.kubectl("get", "nodes,pods", "-A", "-o", "wide"))
    return "\n".join(lines)
