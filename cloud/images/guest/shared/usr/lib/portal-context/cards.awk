# Prints the cards on private networks of a network-config (version 2, one property a line):
# hardware address, and address if there is one.

function value(line) {
	sub(/^[^:]*: */, "", line)
	sub(/,.*/, "", line)
	gsub(/[^0-9A-Fa-f.:\/]/, "", line)
	return line
}

function end_card() {
	if (mac != "" && !asks) print tolower(mac), address
	mac = address = asks = ""
}

/^  [^ ].*:$/ { end_card() }
/^ +macaddress:/ { mac = value($0) }
/^ +addresses:/ { address = value($0) }
/^ +dhcp4: *true/ { asks = 1 }
END { end_card() }
