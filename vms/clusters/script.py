"""The program by which a machine makes itself a node: plain POSIX shell, run once, by root.

It runs under cloud-init's scripts on Debian and RHEL, on Alpine, and under the demo image's
busybox, with OpenSSH or dropbear. It tells of each step on the serial line, one line each::

    portal-cluster: of <tag>
    portal-cluster: step <name> begin
    portal-cluster: step <name> end <status>
    portal-cluster: done

The kernel prints on the same line, at any time: so the lines on which all hangs come thrice.
Whoever waits for another node has a deadline. ``ROOT`` is for trying it in a folder.
"""

import shlex

from vms.clusters.plan import Node, Plan

#: Until all machines run, one may wait for the others: an image may have to come first.
PEERS_WAIT_S = 6 * 3600

_HEAD = r"""#!/bin/sh
# Written by the portal: makes this machine a node of a cluster.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="${ROOT:-}/root"
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
umask 022
cd /
root=${ROOT:-}
run=$root/run/portal-cluster
mkdir -p "$run"

# The serial line; the console of the kernel, if that is the same: it outlives a login there.
line=${LINE:-/dev/console}
if [ -z "${LINE:-}" ]; then
	read -r active 2>/dev/null </sys/class/tty/console/active
	case " $active" in
	*" ttyS0") ;;
	*) (printf '\n' >/dev/ttyS0) 2>/dev/null && line=/dev/ttyS0 ;;
	esac
fi
mark() { printf '\nportal-cluster: %s\n' "$*" >>"$line" 2>/dev/null; }
thrice() {
	for again in 1 2 3; do
		mark "$@"
		[ -n "$root" ] || sleep 1
	done
}

step() { # NAME: runs the function do_NAME
	mark "step $1 begin"
	"do_$1" </dev/null >>"$line" 2>&1
	status=$?
	[ $status -eq 0 ] && { mark "step $1 end 0"; return; }
	tell_master "failed"
	thrice "step $1 end $status"
	exit 1
}

now() {
	read -r up rest </proc/uptime
	echo "${up%%.*}"
}

# Until the command says yes, SECONDS at the longest.
until_ok() { # SECONDS COMMAND...
	end=$(($(now) + $1))
	shift
	until "$@"; do
		[ "$(now)" -lt "$end" ] || return 1
		sleep 2
	done
}

reach() { # NODE COMMAND: by SSH, asking nothing
	if command -v ssh >/dev/null; then
		ssh -o BatchMode=yes -o ConnectTimeout=10 "$@"
	else
		dbclient -y "$@"
	fi </dev/null
}
"""

_STEPS = r"""
card() { # the name of our card on the private network
	for one in "$root"/sys/class/net/*; do
		read -r known 2>/dev/null <"$one/address" || continue
		[ "$known" = "$my_mac" ] && { echo "${one##*/}"; return; }
	done
	return 1
}
has_card() { card >/dev/null; }

do_network() {
	until_ok 60 has_card || { echo "There is no card with the address $my_mac."; return 1; }
	card=$(card)
	ip link set "$card" up
	ip addr show dev "$card" | grep -qF " $my_address/" ||
		ip addr add "$my_address/$prefix" dev "$card"
}

put() { # FILE: what comes in, between our marks; a second time it replaces the first
	touch "$1"
	sed -i '/^# BEGIN portal-cluster$/,/^# END portal-cluster$/d' "$1"
	{ echo "# BEGIN portal-cluster"; cat; echo "# END portal-cluster"; } >>"$1"
}

do_hosts() {
	mkdir -p "$root/etc/profile.d" "$root/tmp"
	printf '%s' "$hosts" | put "$root/etc/hosts" || return 1
	printf '%s' "$nodes" >"$root/tmp/cluster_nodelist" || return 1
	[ -z "$machines" ] || printf '%s' "$machines" >"$root/tmp/machinefile"
	printf '%s' "$variables" >"$root/etc/profile.d/stratuslab_cluster.sh" || return 1
	# A system whose shells do not look there.
	grep -qs 'profile\.d' "$root/etc/profile" ||
		echo '. /etc/profile.d/stratuslab_cluster.sh' >>"$root/etc/profile"
}

let_in() { # USER HOME: from every node to every node
	mkdir -p "$2/.ssh" && chmod 700 "$2/.ssh" || return 1
	if [ -n "$private_key" ]; then
		(umask 077; printf '%s\n' "$private_key" >"$2/.ssh/id_ed25519") || return 1
		printf '%s\n' "$public_key" >"$2/.ssh/id_ed25519.pub"
		if command -v dropbearconvert >/dev/null; then
			(umask 077; dropbearconvert openssh dropbear "$2/.ssh/id_ed25519" \
				"$2/.ssh/id_dropbear" >/dev/null 2>&1)
		fi
	fi
	touch "$2/.ssh/authorized_keys" && chmod 600 "$2/.ssh/authorized_keys"
	grep -qxF -e "$public_key" "$2/.ssh/authorized_keys" ||
		printf '%s\n' "$public_key" >>"$2/.ssh/authorized_keys"
	printf '%s' "$ssh_config" | put "$2/.ssh/config" && chmod 600 "$2/.ssh/config"
	[ "$1" = root ] || chown -R "$1:" "$2/.ssh"
	! command -v restorecon >/dev/null || restorecon -R "$2/.ssh"
}

# A machine that was there before has a key of its own, which the workers fetch.
own_key() {
	own=$HOME/.ssh/id_ed25519
	mkdir -p "$HOME/.ssh"
	[ -e "$own" ] || ssh-keygen -q -t ed25519 -N '' -f "$own" 2>/dev/null ||
		dropbearkey -t ed25519 -f "$HOME/.ssh/id_dropbear" >/dev/null 2>&1 || true
	if [ -e "$own.pub" ]; then
		cat "$own.pub"
	else
		dropbearkey -y -f "$HOME/.ssh/id_dropbear" | grep '^ssh-'
	fi >"$run/key.pub"
	[ -s "$run/key.pub" ]
}

do_keys() {
	[ -n "$private_key" ] || [ "$borrowed" = yes ] || {
		echo "The portal cannot read the key of this cluster any more."
		return 1
	}
	[ -n "$private_key" ] || own_key || return 1
	let_in root "$HOME"
}

by_hand() { # for a system that has no program for it
	number=4100
	while grep -q "^[^:]*:[^:]*:$number:" /etc/passwd; do number=$((number + 1)); done
	echo "$extra:x:$number:" >>/etc/group
	echo "$extra:*:20000:0:99999:7:::" >>/etc/shadow
	echo "$extra:x:$number:$number::/home/$extra:$shell" >>/etc/passwd
	mkdir -p "/home/$extra" && chown "$number:$number" "/home/$extra"
}

do_user() {
	if ! id "$extra" >/dev/null 2>&1; then
		shell=/bin/sh
		[ ! -x /bin/bash ] || shell=/bin/bash
		if command -v useradd >/dev/null; then
			useradd -m -s "$shell" -u 4100 "$extra" || useradd -m -s "$shell" "$extra"
		elif command -v adduser >/dev/null; then
			mkdir -p /home
			adduser -D -s "$shell" -u 4100 "$extra" || adduser -D -s "$shell" "$extra"
		else
			by_hand
		fi || return 1
		# Without a password, but not locked: keys let in.
		usermod -p '*' "$extra" 2>/dev/null || sed -i "s/^$extra:!*:/$extra:*:/" /etc/shadow
	fi
	home=$(grep "^$extra:" /etc/passwd | cut -d: -f6)
	let_in "$extra" "$home"
}

install() {
	if command -v apt-get >/dev/null; then
		apt-get -q update && apt-get -q -y install "$@"
	elif command -v dnf >/dev/null; then
		dnf -q -y install "$@"
	elif command -v yum >/dev/null; then
		yum -q -y install "$@"
	elif command -v apk >/dev/null; then
		apk add -q "$@"
	else
		echo "This system has no package manager (apt-get, dnf, yum, apk)."
		return 1
	fi
}
do_packages() { install $packages; }

serve() { # start NFS, whatever it is called here
	for name in nfs-kernel-server nfs-server nfs; do
		if command -v systemctl >/dev/null; then
			systemctl enable --now "$name" 2>/dev/null && return
		elif [ -x "/etc/init.d/$name" ]; then
			"/etc/init.d/$name" restart && return
		fi
	done
	return 1
}

share_out() {
	command -v exportfs >/dev/null || install nfs-kernel-server || install nfs-utils || {
		echo "There is no NFS server, and none could be installed."
		return 1
	}
	mkdir -p "$folder" || return 1
	[ -z "$extra" ] || chown "$extra:" "$folder"
	# To the private network alone, where every node has the same root.
	echo "$folder $cidr(rw,sync,no_subtree_check,no_root_squash)" | put /etc/exports
	serve && exportfs -ra
}

mount_it() { grep -q " $folder nfs" /proc/mounts || mount "$folder"; }

share_in() {
	command -v mount.nfs >/dev/null || install nfs-common || install nfs-utils || {
		echo "There is no NFS client, and none could be installed."
		return 1
	}
	mkdir -p "$folder" || return 1
	echo "$master_address:$folder $folder nfs rw,nofail,_netdev 0 0" | put /etc/fstab
	until_ok "$share_wait" mount_it
}

do_share() { if [ "$me" = node1 ]; then share_out; else share_in; fi; }

# Quiet until it answers: then whatever it says is worth reading.
ask_master() { reach master true >/dev/null 2>&1; }
do_master() {
	until_ok "$peers_wait" ask_master || { echo "The master did not answer by SSH."; return 1; }
	[ "$borrowed" = yes ] || return 0
	until_ok 60 fetch_key || { echo "The master has no key."; return 1; }
}
fetch_key() {
	key=$(reach master "cat /run/portal-cluster/key.pub") || return 1
	case $key in ssh-*) ;; *) return 1 ;; esac
	for file in "$HOME/.ssh/authorized_keys" ${extra:+"$(grep "^$extra:" /etc/passwd |
		cut -d: -f6)/.ssh/authorized_keys"}; do
		grep -qxF -e "$key" "$file" || printf '%s\n' "$key" >>"$file"
	done
}

tell_master() { # WORD
	[ "$me" != node1 ] && [ -n "$knows_master" ] || return 0
	reach master "mkdir -p /run/portal-cluster && : >/run/portal-cluster/$me.$1" >/dev/null 2>&1
}
do_report() {
	until_ok 120 tell_master ready || { echo "The master did not take the report."; return 1; }
}

# Those that have failed are not waited for; without leave to go on, they end it.
all_said() {
	missing= lost=
	for one in $workers; do
		if [ -e "$run/$one.failed" ]; then
			lost="$lost $one"
		elif [ ! -e "$run/$one.ready" ]; then
			missing="$missing $one"
		fi
	done
	[ -z "$missing" ] || { [ -n "$lost" ] && [ "$tolerate" = no ]; }
}
do_workers() {
	until_ok "$workers_wait" all_said
	lost="$lost$missing"
	[ -n "$lost" ] || return 0
	echo "Without:$lost"
	[ "$tolerate" = yes ] || return 1
	for one in $lost; do
		address=$(printf '%s' "$hosts" | grep " $one " | cut -d ' ' -f 1)
		sed -i "/^$address\( \|\$\)/d" "$root/tmp/cluster_nodelist"
		[ ! -e "$root/tmp/machinefile" ] || sed -i "/^$address /d" "$root/tmp/machinefile"
	done
}

do_hook() {
	hook=$root/etc/rc.cluster-services
	[ -z "$given_hook" ] || { printf '%s' "$given_hook" >"$hook" && chmod 755 "$hook"; } || return 1
	[ -e "$hook" ] || return 0
	(. "$root/etc/profile.d/stratuslab_cluster.sh" && cd / && if [ -x "$hook" ]; then
		"$hook"
	else
		sh "$hook"
	fi)
}

"""


def script(plan: Plan, me: Node, *, is_borrowed: bool = False) -> str:
    """The program of one node. ``is_borrowed``: the master was there before the cluster.

    The private key is in it, unless this is such a master's: that one may be shown.
    """
    wishes = plan.wishes
    is_mine = is_borrowed and me.is_master
    values = {
        "me": me.name,
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
        "workers_wait": str(wishes.minutes * 60 if wishes.tolerate else PEERS_WAIT_S),
        "hosts": hosts(plan),
        "nodes": node_list(plan),
        "machines": machine_file(plan) if wishes.machine_file else "",
        "variables": variables(plan, me),
        "ssh_config": _ssh_config(plan),
        "given_hook": wishes.hook if me.is_master else "",
        "public_key": plan.public_key,
        "private_key": "" if is_mine else plan.private_key.strip(),
        "knows_master": "",
    }
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in values.items()]
    return f"{_HEAD}\n{''.join(lines)}{_STEPS}{_course(plan, me)}"


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
    return f"{''.join(lines)}thrice done\nexit 0\n"


def hosts(plan: Plan) -> str:
    return "".join(f"{one.address} {' '.join(plan.host_names(one))}\n" for one in plan.nodes)


def node_list(plan: Plan) -> str:
    """One address a line, of those that are given work."""
    return "".join(f"{one.address}\n" for one in plan.working)


def machine_file(plan: Plan) -> str:
    """For MPI: one line ``IP slots=CORES`` each."""
    return "".join(f"{one.address} slots={one.cores}\n" for one in plan.working)


def variables(plan: Plan, me: Node) -> str:
    pairs = {
        "STRATUSLAB_NC": str(me.number),
        "STRATUSLAB_CMASTER": plan.host_names(plan.master)[0],
        "STRATUSLAB_CSIZE": str(len(plan.working)),
        "STRATUSLAB_CMAX_CORES": str(sum(one.cores for one in plan.working)),
    }
    return "".join(f"export {name}={value}\n" for name, value in pairs.items())


def _ssh_config(plan: Plan) -> str:
    """The network is its owner's alone: hosts there are not asked who they are."""
    names = [name for one in plan.nodes for name in (*plan.host_names(one), one.address)]
    rules = ("StrictHostKeyChecking no", "UserKnownHostsFile /dev/null", "LogLevel ERROR")
    return f"Host {' '.join(names)}\n" + "".join(f"  {rule}\n" for rule in rules)
