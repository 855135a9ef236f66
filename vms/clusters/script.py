"""The program by which a machine makes itself a node: plain POSIX shell, run once, by root.

It runs under cloud-init's scripts on Debian and RHEL, on Alpine, and under the demo image's
busybox, with OpenSSH or dropbear. It tells of each step on the serial line, one line each::

    portal-cluster: of <tag>
    portal-cluster: step <name> begin
    portal-cluster: step <name> end <status>
    portal-cluster: without <node> <node>
    portal-cluster: done

The kernel prints on the same line, at any time: so the lines on which all hangs come thrice.
Whoever waits for another node has a deadline.
"""

import shlex
from collections.abc import Mapping

from vms.clusters import alone, together
from vms.clusters.plan import Node, Plan

#: Until all machines run, one may wait for the others: an image may have to come first.
PEERS_WAIT_S = 6 * 3600
#: A worker that was heard, and then is not, is gone: longer than a kernel is busy with itself.
SILENCE_S = 60
#: One that was never heard starts as long as this after all others are through, at the most: they
#: come from the same image.
PATIENCE_S = 120


def script(plan: Plan, me: Node, *, is_borrowed: bool = False) -> str:
    """The program of one node. ``is_borrowed``: the master was there before the cluster.

    The private key is in it, unless this is such a master's: that one may be shown.
    """
    wishes = plan.wishes
    is_mine = is_borrowed and me.is_master
    values = {
        "me": me.name,
        "there": f"/run/portal-cluster-{plan.tag}",
        "my_mac": me.mac,
        "my_address": me.address,
        "prefix": str(me.prefix),
        "cidr": plan.cidr,
        "master_address": plan.master.address,
        "borrowed": "yes" if is_borrowed else "no",
        "tolerate": "yes" if wishes.tolerate else "no",
        "extra": wishes.user,
        "folder": wishes.shared_folder,
        "packages": " ".join(wishes.packages),
        "workers": " ".join(one.name for one in plan.nodes if not one.is_master),
        "peers_wait": str(PEERS_WAIT_S),
        "share_wait": str(wishes.minutes * 60),
        "workers_wait": str(wishes.minutes * 60),
        "silence": str(SILENCE_S),
        "patience": str(PATIENCE_S),
        "lists": lists(plan, me),
        "ssh_config": _ssh_config(plan),
        "given_hook": wishes.hook if me.is_master else "",
        "public_key": plan.public_key,
        "private_key": "" if is_mine else plan.private_key.strip(),
        "knows_master": "",
    }
    functions = f"{alone.PUT}{alone.STEPS}{together.STEPS}"
    return f"{alone.HEAD}\n{_set(values)}{alone.BEGIN}{functions}{_course(plan, me)}"


def _set(values: Mapping[str, str]) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _course(plan: Plan, me: Node) -> str:
    """The steps of this node, in their order."""
    wishes = plan.wishes
    names = ["network", "hosts", "keys"]
    names += ["user"] if wishes.user else []
    names += ["packages"] if wishes.packages else []
    share = ["share"] if wishes.shared_folder else []
    if me.is_master:
        names += [*share, "workers", "hook"]
    else:
        names += ["master", *share, "report"]
    lines = [f"mark 'of {plan.tag}'\n"]
    for name in names:
        lines.append(f"step {name}\n")
        if name == "keys":
            lines.append("knows_master=yes\n")
    return f"\n{''.join(lines)}thrice done\nexit 0\n"


def lists(plan: Plan, me: Node) -> str:
    """The program of a node that writes the lists of the cluster: of the nodes that it is given."""
    members = "".join(
        f"{one.name} {one.address} {one.cores} {'yes' if one in plan.working else 'no'} "
        f"{' '.join(plan.host_names(one))}\n"
        for one in plan.nodes
    )
    values = {
        "members": members,
        "machine_file": "yes" if plan.wishes.machine_file else "no",
        "number": str(me.number),
        "master": plan.host_names(plan.master)[0],
    }
    return f"{alone.LISTS_HEAD}{_set(values)}{alone.PUT}{alone.LISTS}"


def _ssh_config(plan: Plan) -> str:
    """The network is its owner's alone: hosts there are not asked who they are."""
    names = [name for one in plan.nodes for name in (*plan.host_names(one), one.address)]
    rules = ("StrictHostKeyChecking no", "UserKnownHostsFile /dev/null", "LogLevel ERROR")
    return f"Host {' '.join(names)}\n" + "".join(f"  {rule}\n" for rule in rules)
