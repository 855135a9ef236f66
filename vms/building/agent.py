"""The program that takes the steps in the guest: plain POSIX shell, run once, by root.

It tells of each step on the serial line, one line each::

    portal-build: <nonce> step <number> begin
    portal-build: <nonce> step <number> end <status>
    portal-build: <nonce> done

The kernel prints on the same line, at any time: so the lines on which all hangs come twice.
"""

import shlex
from collections.abc import Sequence

from vms.building.steps import Step, file_name

_HEAD = """#!/bin/sh
# Written by the portal: takes the steps of an image in the making.
nonce=@NONCE@
limit=@LIMIT@
work=/var/tmp/portal-build-$nonce
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
umask 022

rm -rf "$work"
mkdir -p "$work" && chmod 700 "$work" && cd / || exit 1

# The serial line; the console of the kernel, if that is the same: it outlives a login there.
line=/dev/console
read -r active 2>/dev/null </sys/class/tty/console/active
case " $active" in
*" ttyS0") ;;
*) (printf '\\n' >/dev/ttyS0) 2>/dev/null && line=/dev/ttyS0 ;;
esac

# All goes through one pipe, so in order; programs that stay behind do not hold anybody up.
mkfifo "$work/out"
exec 3<>"$work/out"
pump() {
	until cat <"$work/out" >"$line" 2>/dev/null; do
		[ -p "$work/out" ] || break
		sleep 1
	done
}
pump 3>&- &

mark() { printf '\\nportal-build: %s %s\\n' "$nonce" "$*" >&3; }

uptime_s() {
	read -r up rest </proc/uptime
	echo "${up%%.*}"
}

# Ends a step that takes too long, where there is such a program; else the portal does.
keeper=
timeout -k 1 9 true 2>/dev/null && keeper="timeout -k 10 $limit"

step() { # NUMBER, then what to run
	number=$1
	shift
	mark "step $number begin"
	began=$(uptime_s)
	$keeper "$@" </dev/null >&3 2>&1 3>&-
	status=$?
	[ $status -eq 0 ] && { mark "step $number end 0"; return; }
	[ $(($(uptime_s) - began)) -lt "$limit" ] || status=124
	for again in 1 2 3; do
		mark "step $number end $status"
		sleep 1
	done
	rm -rf "$work"
	exit 1
}
"""

#: Read whole before the first step: the last one removes this file.
_RUN = """
run() {
@STEPS@	for again in 1 2 3; do
		mark "done"
		sleep 1
	done
	exit 0
}
run
"""


def user_data(steps: Sequence[Step], *, nonce: str, limit_s: int) -> str:
    """The program; each step may last ``limit_s`` seconds."""
    head = _HEAD.replace("@NONCE@", nonce).replace("@LIMIT@", str(limit_s))
    files, runs = [], []
    for number, step in enumerate(steps, start=1):
        name = file_name(number, step)
        files.append(_write(name, step.text, nonce))
        words = [*step.runner, f"$work/{name}", *step.arguments]
        if number == len(steps):
            words.append("$work")
        runs.append(f"\tstep {number} {' '.join(_word(word) for word in words)}\n")
    return f"{head}{''.join(files)}{_RUN.replace('@STEPS@', ''.join(runs))}"


def _write(name: str, text: str, nonce: str) -> str:
    end = f"END-{nonce}"
    while f"\n{end}\n" in f"\n{text}\n":
        end += "-"
    body = text if text.endswith("\n") else f"{text}\n"
    path = f'"$work/{name}"'
    return f"\ncat >{path} <<'{end}'\n{body}{end}\nchmod 755 {path}\n"


def _word(word: str) -> str:
    """Ours are within ``$work``; what a person wrote is quoted."""
    if word == "$work" or word.startswith("$work/"):
        return f'"{word}"'
    return shlex.quote(word)
