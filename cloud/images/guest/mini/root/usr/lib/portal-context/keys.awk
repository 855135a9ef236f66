# Prints the SSH public keys under ssh_authorized_keys, whatever the layout of the list;
# with "everywhere", every key of the file.

function print_keys(line, key) {
	# A key with options in front of it, alone on its line of a list, is kept whole.
	if (line ~ /^ *- /) {
		sub(/^ *- +/, "", line)
		if (line ~ /^(".*"|'.*')$/) line = substr(line, 2, length(line) - 2)
		if (line ~ pattern) print line
		return
	}
	while (match(line, pattern "( [^\"',\\]}]*)?")) {
		key = substr(line, RSTART, RLENGTH)
		line = substr(line, RSTART + RLENGTH)
		sub(/ +$/, "", key)
		print key
	}
}

function indentation(line) {
	match(line, /^ */)
	return RLENGTH
}

BEGIN {
	pattern = "(sk-)?(ssh-(rsa|ed25519)|ecdsa-sha2-nistp[0-9]+)(@openssh.com)? +AAAA[A-Za-z0-9+\\/=]+"
}

everywhere { print_keys($0); next }
/^ssh[-_]authorized[-_]keys *:/ { inside = 1; print_keys($0); next }
inside && /^ *(#.*)?$/ { next }
inside && indentation($0) == 0 && $0 !~ /^(-|])/ { inside = 0 }
inside { print_keys($0) }
