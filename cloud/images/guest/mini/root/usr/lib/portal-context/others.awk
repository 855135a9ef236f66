# Prints the top-level keys of a #cloud-config that this image leaves alone.

/^[A-Za-z_][A-Za-z0-9_-]* *:/ {
	key = $0
	sub(/ *:.*/, "", key)
	if (key !~ /^(ssh[-_]authorized[-_]keys|hostname|disable_root|ssh_pwauth)$/) {
		printf "%s%s", separator, key
		separator = ", "
	}
}
