"""What a child that reads untrusted bytes sees of the host: next to nothing.

It has a network without a card, processes, messages and names of its own, and a root with
programs and libraries alone, where it may write nowhere. Sources: unshare(1), setpriv(1),
mount_namespaces(7), user_namespaces(7).

As root that takes nothing but util-linux. Without root the kernel must let users have
namespaces of their own; many sites and containers do not. Then a child is kept by limits and
by having no rights, and sees what the portal's user sees.
"""

import enum
import functools
import logging
import os
import subprocess
from collections.abc import Sequence

logger = logging.getLogger("cloud.jail")

#: What every program is given: the portal's own environment holds secrets.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C",
    # Each thread with an arena of its own takes 64 MiB of addresses and more: one that has
    # many at once, as on a busy host, would end at its limit with nothing wrong.
    "MALLOC_ARENA_MAX": "1",
}
#: Who complains when a jail cannot be made; "jail" is its shell.
_BUILDERS = ("chroot", "jail", "ln", "mkdir", "mount", "prlimit", "setpriv", "unshare")
_SIGNALLED = 128  # a shell's way to say that a signal ended it: sh(1), "Exit Status"
_PROBE_S = 20

#: Run as the first process of the new spaces, and their end when it ends. /tmp is where the
#: root is built, because every host has it and the child has no business there. Where parts of
#: /proc are covered (a hardened unit of systemd, a container) users get no fresh one; in the
#: host's they see numbers of processes and may look into none, for these are of another space.
_BUILD = r"""
set -eu
umask 022
mount -t tmpfs -o size=256k,nr_inodes=64,mode=0755,nosuid,nodev,noexec none /tmp
cd /tmp
mkdir dev etc proc
for name in usr bin sbin lib lib32 lib64 libx32; do
  if [ -L "/$name" ]; then
    ln -s "$(readlink "/$name")" "$name"
  elif [ -d "/$name" ]; then
    mkdir "$name"
    mount --rbind "/$name" "$name"
    mount -o remount,bind,ro,nosuid,nodev "$name"
  fi
done
if [ -e /etc/ld.so.cache ]; then
  : > etc/ld.so.cache
  mount --bind /etc/ld.so.cache etc/ld.so.cache
fi
: > dev/null
mount --bind /dev/null dev/null
mount -t proc -o nosuid,nodev,noexec,subset=pid none proc 2>/dev/null ||
  mount -t proc -o nosuid,nodev,noexec none proc 2>/dev/null ||
  mount --rbind /proc proc
mount -o remount,ro,size=256k,nr_inodes=64,mode=0755,nosuid,nodev,noexec none /tmp
code=0
chroot /tmp "$@" || code=$?
exit $code
"""
_SPACES = ["--net", "--ipc", "--uts"]
_DYING = ["setpriv", "--pdeathsig=KILL", "--"]
_BUILT = [*_SPACES, "--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-c", _BUILD, "jail"]


class Kind(enum.Enum):
    """How much of the host is hidden."""

    ROOT = enum.auto()  # everything; we are root
    USER = enum.auto()  # everything; as root of a space of our own
    BARE = enum.auto()  # nothing


_AROUND = {
    Kind.ROOT: [*_DYING, "unshare", *_BUILT],
    Kind.USER: [*_DYING, "unshare", "--map-root-user", *_BUILT],
    Kind.BARE: [],
}
#: Root of a user space is our own user outside; inside it has no rights left.
_POWERLESS = ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]


def around(command: Sequence[str], *, uid: int | None, limits: Sequence[str]) -> list[str]:
    """``command`` in the best jail of this host. ``uid`` None: as ourselves."""
    return _in(kind(), command, uid=uid, limits=limits)


def beside(command: Sequence[str], *, uid: int | None, limits: Sequence[str]) -> list[str]:
    """``command`` without a network, if we can; it sees files by their names."""
    alone = [*_DYING, "unshare", *_SPACES, "--"] if kind() is Kind.ROOT else []
    return [*alone, *_in(Kind.BARE, command, uid=uid, limits=limits)]


def _in(kind: Kind, command: Sequence[str], *, uid: int | None, limits: Sequence[str]) -> list[str]:
    user = [] if uid is None else [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    powers = _POWERLESS if kind is Kind.USER else []
    within = ["setpriv", *user, *powers, "--no-new-privs", "--pdeathsig=KILL", "--"]
    return [*_AROUND[kind], *limits, *within, *command]


def ended_with(code: int, words: str) -> int:
    """The code of the command itself, of what ``around`` ended with; negative for a signal.

    Raises:
        ChildProcessError: it never ran.
    """
    if code and words.startswith(tuple(f"{name}: " for name in _BUILDERS)):
        raise ChildProcessError(f"No child could be started: {words}")
    return _SIGNALLED - code if code > _SIGNALLED else code


@functools.cache
def kind() -> Kind:
    """The best jail that can be made here: tried once in a process."""
    best = Kind.ROOT if os.geteuid() == 0 else Kind.USER
    said = _try(best)
    if said is None:
        return best
    logger.warning("jail.bare", extra={"error": said})
    return Kind.BARE


def _try(kind: Kind) -> str | None:
    """Why it cannot be made; None: it can."""
    try:
        done = subprocess.run(
            _in(kind, ["true"], uid=None, limits=[]),
            cwd="/", env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=_PROBE_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return repr(error)
    return None if done.returncode == 0 else done.stderr.decode(errors="replace")[-500:]
