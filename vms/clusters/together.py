"""What nodes do with each other, as functions of POSIX shell: the shared folder, and who is in.

Nobody can tell a machine that runs that another one will not come; so the master finds out. Whoever
the portal gives up leaves the network: it is killed, or loses its card there (ADR 15).
"""

STEPS = r"""
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
		echo "There is no NFS server, and none could be installed. $reachable"
		return 1
	}
	mkdir -p "$folder" || return 1
	[ -z "$extra" ] || chown "$extra:" "$folder"
	# To the private network alone, where every node has the same root.
	echo "$folder $cidr(rw,sync,no_subtree_check,no_root_squash)" | put /etc/exports
	serve && exportfs -ra
}

mount_it() { grep -q " $folder nfs" /proc/mounts || complaint=$(mount "$folder" 2>&1); }

share_in() {
	command -v mount.nfs >/dev/null || install nfs-common || install nfs-utils || {
		echo "There is no NFS client, and none could be installed. $reachable"
		return 1
	}
	mkdir -p "$folder" || return 1
	echo "$master_address:$folder $folder nfs rw,nofail,_netdev 0 0" | put /etc/fstab
	until_ok "$share_wait" mount_it || { echo "$complaint"; return 1; }
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
	key=$(reach master "cat $there/key.pub") || return 1
	case $key in ssh-*) ;; *) return 1 ;; esac
	for file in "$HOME/.ssh/authorized_keys" ${extra:+"$(grep "^$extra:" /etc/passwd |
		cut -d: -f6)/.ssh/authorized_keys"}; do
		grep -qxF -e "$key" "$file" || printf '%s\n' "$key" >>"$file"
	done
}

# The first word about a worker is the last one: ready, failed, or lost.
tell_master() { # WORD: prints the one that holds
	[ "$me" != node1 ] && [ -n "$knows_master" ] || return 0
	reach master "mkdir -p $there; ln -s $1 $there/$me 2>/dev/null; readlink $there/$me"
}
report() { answer=$(tell_master ready 2>/dev/null) && [ -n "$answer" ]; }
do_report() {
	until_ok 120 report || { echo "The master did not take the report."; return 1; }
	[ "$answer" = ready ] || { echo "The master goes on without this machine."; return 1; }
}

# Who still can, says itself how it ended. Who was killed or cut off is known by its silence.
all_said() {
	ready= lost= missing=
	for one in $workers; do
		case $(readlink "$run/$one") in
		ready) ready="$ready $one" ;;
		"") missing="$missing $one" ;;
		*) lost="$lost $one" ;;
		esac
	done
	[ -n "$missing" ] || return 0
	if [ "$tolerate" = no ]; then
		[ -n "$lost" ]
	else
		listen_to $missing
		return 1
	fi
}

listen_to() { # WORKER...: gives up those of whom too long nothing was heard
	heard=
	for one in "$@"; do
		answers "$one" || continue
		heard=yes
		now >"$run/$one.heard"
		[ -e "$run/first" ] || now >"$run/first"
	done
	# Those that were never heard are waited for until all others are through, and then a while.
	if [ -n "$heard" ] || [ -z "$ready" ]; then
		rm -f "$run/alone"
	elif [ ! -e "$run/alone" ]; then
		now >"$run/alone"
	fi
	for one in "$@"; do
		is_late || { is_silent "$one" && ! reach "$one" true >/dev/null 2>&1; } || continue
		ln -s lost "$run/$one" 2>/dev/null
	done
}
answers() { # WORKER: whether it is on the network
	if command -v ping >/dev/null; then
		ping -c 1 -W 2 "$1" >/dev/null 2>&1
	else
		reach "$1" true >/dev/null 2>&1
	fi
}
is_silent() { # WORKER
	if [ -e "$run/$1.heard" ]; then
		past "$1.heard" "$silence"
	else
		past alone "$patience"
	fi
}
is_late() { past first "$workers_wait"; }
past() { # FILE SECONDS: whether its time is so long ago
	[ -e "$run/$1" ] && [ "$(now)" -ge $(($(cat "$run/$1") + $2)) ]
}

# A worker that does not take the lists is out, and the others get new ones.
hand_out() {
	dropped=
	for one in $ready; do
		until_ok 60 give_lists "$one" && continue
		dropped=yes
		ln -sf lost "$run/$one"
	done
	all_said
	[ -n "$ready" ] || { echo "No worker is left."; return 1; }
	if [ -n "$dropped" ]; then hand_out; else sh "$run/lists" node1 $ready; fi
}
give_lists() { reach "$1" "sh $there/lists node1 $ready" >/dev/null 2>&1; }

do_workers() {
	until_ok "$peers_wait" all_said || { echo "Nothing was heard of:$missing"; return 1; }
	if [ "$tolerate" = yes ]; then
		hand_out || return 1
		[ -z "$lost" ] || thrice "without$lost"
	elif [ -n "$lost" ]; then
		echo "Without:$lost"
		return 1
	fi
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
