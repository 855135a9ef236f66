"""What a guest is told about itself: the medium, its files, to the byte. No engine code.

:func:`label` and :func:`files` say it all; pages show the same as guests get. What a person
types is quoted everywhere: nothing can add a line, a key or a command.

Sources: cloud-init documentation, "NoCloud" and "Networking config Version 2"; for the HEPiX
medium the files of StratusLab's sites, with their faults mended: every line of a value is kept.
"""

import base64
import json
import re
import shlex
from collections.abc import Iterable

from cloud import cards
from cloud.types import ContextMethod, VmSpec

#: A shell that starts a program can give it no variable larger than 128 KiB (Linux,
#: MAX_ARG_STRLEN), nor more than some MiB in all. Longer ones are known to ``context.sh`` alone.
LARGEST_EXPORTED = 64 << 10
#: Names whose value the engine gives.
OURS = ("HOSTNAME", "INSTANCE_ID", "PUBLIC_KEY", "USER_DATA")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def label(spec: VmSpec) -> str:
    """The volume label by which the guest finds the medium, an ISO 9660 file system."""
    return "_STRATUSLAB" if spec.context_method is ContextMethod.HEPIX else "cidata"


def files(spec: VmSpec, *, token: str) -> dict[str, bytes]:
    """What is on the medium of machine ``token``, by file name."""
    if spec.context_method is ContextMethod.HEPIX:
        return {
            "context.sh": context_sh(spec, token=token),
            "prolog.sh": prolog_sh(spec, token=token),
            "init.sh": INIT_SH.encode(),
            "epilog.sh": EPILOG_SH.encode(),
        }
    contents = {
        "meta-data": meta_data(spec, token=token),
        "user-data": user_data(spec),
        "vendor-data": vendor_data(spec),
    }
    if spec.nics:
        contents["network-config"] = network_config(spec, token=token)
    return contents


def problem(spec: VmSpec) -> str:
    """Why no medium can be made of it, in a sentence; empty if one can."""
    names = [name.upper() for name in spec.context]
    for name, value in spec.context.items():
        if not _NAME.fullmatch(name):
            return (
                f"“{name[:40]}” is not the name of a variable: letters, digits and underscores,"
                " not a digit first, at most 128."
            )
        if names.count(name.upper()) > 1:
            return f"{name.upper()} is set twice; upper and lower case are the same here."
        if "\0" in value:
            return f"The value of {name.upper()} has a NUL character, which no variable can have."
    return ""


# cloud-init ----------------------------------------------------------------------------------


def meta_data(spec: VmSpec, *, token: str) -> bytes:
    """Identity and SSH keys, one key a line so that a reader without YAML finds them."""
    lines = [
        f"instance-id: {json.dumps(token)}",
        f"local-hostname: {json.dumps(hostname(spec, token=token))}",
        "public-keys:" if spec.ssh_keys else "public-keys: []",
        *_key_lines(spec),
    ]
    if spec.context:
        pairs = {name.upper(): value for name, value in spec.context.items()}
        lines.append(f"context: {json.dumps(pairs)}")
    return _text(lines)


def hostname(spec: VmSpec, *, token: str) -> str:
    return spec.hostname or f"vm-{token[:8]}"


def user_data(spec: VmSpec) -> bytes:
    """The user's own, to the byte; else the keys, for images that read them only from here."""
    if spec.user_data:
        return spec.user_data.encode()
    if not spec.ssh_keys:
        return b"#cloud-config\n{}\n"
    return _text(["#cloud-config", "ssh_authorized_keys:", *_key_lines(spec)])


def vendor_data(spec: VmSpec) -> bytes:
    """Swap, which no user data of a person's own should have to name."""
    if not spec.swap_mib:
        return b"#cloud-config\n{}\n"
    swap = ["LABEL=swap", "none", "swap", "sw,nofail", "0", "0"]
    return _text(["#cloud-config", f"mounts: {json.dumps([swap])}"])


def network_config(spec: VmSpec, *, token: str) -> bytes:
    """Every card by its hardware address, version 2; the layout is fixed, line by line.

    Only a machine with private cards gets it: the others are left to find their one card, as
    images do whose cloud-init or network tools do not know this format.
    """
    lines = ["version: 2", "ethernets:"]
    lines += _card("eth0", cards.first(token), ["dhcp4: true"])
    for number, nic in enumerate(spec.nics, start=1):
        address = [f"addresses: [{json.dumps(nic.address)}]"] if nic.address else []
        lines += _card(f"eth{number}", nic.mac, ["dhcp4: false", *address, "optional: true"])
    return _text(lines)


def _card(name: str, mac: str, rest: Iterable[str]) -> list[str]:
    about = ["match:", f"  macaddress: {json.dumps(mac)}", f"set-name: {name}", *rest]
    return [f"  {name}:", *(f"    {line}" for line in about)]


def _key_lines(spec: VmSpec) -> list[str]:
    return [f"  - {json.dumps(key.strip(), ensure_ascii=False)}" for key in spec.ssh_keys]


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


# OpenNebula and HEPiX --------------------------------------------------------------------------


def context_sh(spec: VmSpec, *, token: str) -> bytes:
    """Every variable as one assignment that a shell reads back to the byte."""
    pairs = variables(spec, token=token)
    return _text([f"{name}={shlex.quote(value)}" for name, value in pairs.items()])


def prolog_sh(spec: VmSpec, *, token: str) -> bytes:
    """Read the variables, and hand them on to every program that is started from then on."""
    pairs = variables(spec, token=token)
    small = [name for name, value in pairs.items() if len(value.encode()) <= LARGEST_EXPORTED]
    return _text(
        [
            "# Read by init.sh: sets the variables of context.sh, and hands them on to programs.",
            '. "$CONTEXT_DIR/context.sh"',
            f"export CONTEXT_DIR {' '.join(small)}",
        ]
    )


def variables(spec: VmSpec, *, token: str) -> dict[str, str]:
    """The pairs with names in upper case, and ours; a person's keys come beside the others."""
    pairs = {name.upper(): value for name, value in spec.context.items()}
    keys = [key.strip() for key in (*spec.ssh_keys, *pairs.get("PUBLIC_KEY", "").splitlines())]
    pairs["PUBLIC_KEY"] = "\n".join(filter(None, keys))
    pairs["HOSTNAME"] = hostname(spec, token=token)
    pairs["INSTANCE_ID"] = token
    for number, nic in enumerate(spec.nics, start=1):
        pairs[f"ETH{number}_MAC"] = nic.mac
        if nic.address:
            pairs[f"ETH{number}_ADDRESS"] = nic.address
    if spec.user_data:
        pairs["USER_DATA"] = base64.b64encode(spec.user_data.encode()).decode()
    return pairs


INIT_SH = r"""#!/bin/sh
# Makes this machine its owner's. The guest mounts the disk labelled _STRATUSLAB and runs this
# as root; what it does may be done again.
CONTEXT_DIR=$(cd "$(dirname "$0")" && pwd)
. "$CONTEXT_DIR/prolog.sh"

if [ -n "$PUBLIC_KEY" ]; then
	umask 077
	mkdir -p /root/.ssh
	touch /root/.ssh/authorized_keys
	printf '%s\n' "$PUBLIC_KEY" | while IFS= read -r key; do
		grep -qxF -e "$key" /root/.ssh/authorized_keys ||
			printf '%s\n' "$key" >>/root/.ssh/authorized_keys
	done
	umask 022
fi

# The cards on private networks, by their hardware addresses.
for number in 1 2 3 4; do
	eval "mac=\${ETH${number}_MAC:-} address=\${ETH${number}_ADDRESS:-}"
	[ -n "$mac" ] || continue
	for card in /sys/class/net/*; do
		[ "$(cat "$card/address" 2>/dev/null)" = "$mac" ] || continue
		ip link set "${card##*/}" up
		[ -z "$address" ] || ip addr replace "$address" dev "${card##*/}"
	done
done

status=0
if [ -n "$SCRIPT_EXEC" ]; then
	script=$(mktemp)
	printf '%s\n' "$SCRIPT_EXEC" >"$script"
	sh "$script"
	status=$?
	rm -f "$script"
	echo "context: SCRIPT_EXEC exit $status"
fi

. "$CONTEXT_DIR/epilog.sh"
exit $status
"""

EPILOG_SH = r"""# Read by init.sh at its end: runs the user data, if that is a script.
if [ -n "$USER_DATA" ]; then
	program=$(mktemp)
	printf '%s' "$USER_DATA" | base64 -d >"$program"
	if [ "$(head -c 2 "$program")" = '#!' ]; then
		chmod 700 "$program"
		"$program"
		code=$?
		[ $status -ne 0 ] || status=$code
		echo "context: user data exit $code"
	fi
	rm -f "$program"
fi
"""
