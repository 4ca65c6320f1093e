"""`python3 -m dev COMMAND`, from the checkout's root."""

import argparse
import sys
from collections.abc import Callable

from dev import addons, cluster, faults, images, needs, network, policy_agent, processes, programs, topology
from dev.shell import ended, say


def _up(args: argparse.Namespace) -> None:
    needs.machine()
    with cluster.exclusively():
        if cluster.kept_up():
            say("the cluster is up already")
        else:
            needs.packages(needs.TO_RUN)
            programs.provide()
            cluster.up(args.gpus)
    print(cluster.environment())


def _build(_: argparse.Namespace) -> None:
    with cluster.exclusively():
        programs.provide()


def _down(_: argparse.Namespace) -> None:
    with cluster.exclusively():
        cluster.down()
    say("nothing is left of the cluster; programs and images stay cached")


def _images(_: argparse.Namespace) -> None:
    with cluster.exclusively():
        images.build_and_import()


def _kill(args: argparse.Namespace) -> None:
    say(f"killed {faults.kill_pod(args.namespace, args.pod)} processes")


def _restart(args: argparse.Namespace) -> None:
    processes.restart(args.daemon)


def _policies(args: argparse.Namespace) -> None:
    with cluster.exclusively():
        if args.state == "on":
            policy_agent.start()
        else:
            policy_agent.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m dev", description="a Kubernetes cluster on this machine"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    nodes = [node.name for node in topology.NODES]

    def command(name: str, act: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(act=act)
        return added

    up = command("up", _up, "start the cluster, or find it running")
    up.add_argument("--gpus", type=int, default=1, metavar="N", help="fake GPUs per GPU node (default 1)")
    command("down", _down, "remove the cluster without a trace; caches stay")
    command("build", _build, "have every program in the cache, without starting anything")
    command("images", _images, "build the two Dockerfiles where they changed, and import them into the nodes")
    command("env", lambda _: print(cluster.environment()), 'what a shell needs: eval "$(python3 -m dev env)"')
    command("status", lambda _: print(cluster.status()), "daemons, nodes and pods")
    gpus = command("gpus", lambda args: addons.set_gpus(args.node, args.count), "give a node N fake GPUs")
    gpus.add_argument("node", choices=nodes)
    gpus.add_argument("count", type=int)
    kill = command("kill", _kill, "SIGKILL every process of a pod's containers")
    kill.add_argument("pod")
    kill.add_argument("-n", "--namespace", default="default")
    cut = command("cut", lambda args: network.cut(args.node), "cut a node off the network")
    cut.add_argument("node", choices=nodes)
    restore = command("restore", lambda args: network.restore(args.node), "give a cut node its network back")
    restore.add_argument("node", choices=nodes)
    policies = command(
        "policies", _policies, "have NetworkPolicies enforced, as `up` does, or let everything through"
    )
    policies.add_argument("state", choices=("on", "off"))
    restart = command("restart", _restart, "kill a daemon (kube-apiserver, ...) hard and start it again")
    restart.add_argument("daemon")
    return parser


def main() -> int:
    """Run the command."""
    args = _parser().parse_args()
    return ended("dev", lambda: args.act(args), "run it again, it clears up after itself")


if __name__ == "__main__":
    sys.exit(main())
