"""What a node does by itself, as functions of POSIX shell: ``script`` puts them together.

``ROOT`` is for trying it in a folder.
"""

PUT = r"""put() { # FILE: what comes in, between our marks; a second time it replaces the first
	touch "$1"
	sed -i '/^# BEGIN portal-cluster$/,/^# END portal-cluster$/d' "$1"
	{ echo "# BEGIN portal-cluster"; cat; echo "# END portal-cluster"; } >>"$1"
}
"""

HEAD = r"""#!/bin/sh
# Written by the portal: makes this machine a node of a cluster.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="${ROOT:-}/root"
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
umask 022
cd /
root=${ROOT:-}

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
	tell_master failed >/dev/null 2>&1
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

#: The lists of a cluster are made by each node, of the nodes that it is told: at first of all.
LISTS_HEAD = r"""#!/bin/sh
# Written by the portal. lists NODE...: hosts file, node list, machine file and variables of a
# cluster that consists of these nodes; the first is the master.
root=${ROOT:-}
"""
LISTS = r"""
hosts= nodes= machines= size=0 cores=0 newline='
'
while read -r name address slots works names; do
	case " $* " in *" ${name:-none} "*) ;; *) continue ;; esac
	hosts="$hosts$address $names$newline"
	[ "$works" = yes ] || continue
	nodes="$nodes$address$newline"
	machines="$machines$address slots=$slots$newline"
	size=$((size + 1)) cores=$((cores + slots))
done <<END
$members
END

mkdir -p "$root/etc/profile.d" "$root/tmp" || exit 1
printf '%s' "$hosts" | put "$root/etc/hosts" || exit 1
printf '%s' "$nodes" >"$root/tmp/cluster_nodelist" || exit 1
[ "$machine_file" = no ] || printf '%s' "$machines" >"$root/tmp/machinefile" || exit 1
cat >"$root/etc/profile.d/stratuslab_cluster.sh" <<END
export STRATUSLAB_NC=$number
export STRATUSLAB_CMASTER=$master
export STRATUSLAB_CSIZE=$size
export STRATUSLAB_CMAX_CORES=$cores
END
"""

#: Where nodes leave word for each other.
BEGIN = r"""
run=$root$there
mkdir -p "$run"

"""

STEPS = r"""
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

do_hosts() {
	printf '%s' "$lists" >"$run/lists" || return 1
	sh "$run/lists" node1 $workers || return 1
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
		[ -e "$run/indexed" ] || apt-get -q update || return
		: >"$run/indexed"
		apt-get -q -y install "$@"
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
# The index of packages of a system that has no way out is empty, and its words are others.
reachable="Does this machine reach a repository of packages, by the network or on a disk?"
do_packages() {
	install $packages && return
	status=$?
	echo "Not installed: $packages. $reachable"
	return $status
}
"""
