# Takes a MIME multipart message apart, into "directory".
# Nested multiparts work: every boundary that a header has named is looked for. A part becomes
# the file NUMBER.KIND.NAME; kinds are script, config, hook, other, and "-" for "look inside".

function end_part() {
	if (file != "") close(file)
	file = ""
}

function name_boundary(line) {
	if (!match(tolower(line), /boundary=/)) return
	line = substr(line, RSTART + 9)
	if (substr(line, 1, 1) == "\"") {
		line = substr(line, 2)
		sub(/".*/, "", line)
	} else sub(/[; \t].*/, "", line)
	boundaries["--" line] = 1
}

function kind_of(line) {
	sub(/^content-type: */, "", line)
	sub(/[; \t].*/, "", line)
	if (line ~ /^text\/x-shellscript(-per-(once|instance))?$/) return "script"
	if (line == "text/cloud-config") return "config"
	if (line == "text/cloud-boothook") return "hook"
	if (line ~ /^text\/(plain|x-not-multipart)$|^application\/octet-stream$|^multipart\//) return "-"
	return "other"
}

function header(line) {
	name_boundary(line)
	if (tolower(line) ~ /^content-type:/) kind = kind_of(tolower(line))
	if (tolower(line) ~ /^content-transfer-encoding: *base64/) encoding = ".base64"
	if (match(line, /filename="[^"]*"/)) name = substr(line, RSTART + 10, RLENGTH - 11)
	else if (match(line, /filename=[^"; \t]+/)) name = substr(line, RSTART + 9, RLENGTH - 9)
	gsub(/[^A-Za-z0-9._-]/, "_", name)
}

BEGIN { in_header = 1 }

$0 in boundaries {
	end_part()
	number++
	in_header = 1
	encoding = ""
	kind = "-"
	name = sprintf("part-%03d", number)
	next
}
substr($0, length($0) - 1) == "--" && substr($0, 1, length($0) - 2) in boundaries {
	end_part()
	next
}
in_header && $0 == "" {
	in_header = 0
	if (number) {
		file = sprintf("%s/%03d.%s.%s%s", directory, number, kind, name, encoding)
		printf "" > file
	}
	next
}
in_header { header($0); next }
file != "" { print > file }
