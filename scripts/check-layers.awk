# Checks that the modules under src/ include one another only as src/LAYERS
# allows.  usage: awk -f check-layers.awk src/LAYERS src/*/*.[ch]
#
# A line of LAYERS is "module: module ...": what it may include besides
# itself, each declared on a line above, so that there can be no cycle.

function complain(where, what) { print where ": " what; bad = 1 }

# Headers are ours by name: PostgreSQL has a folder "catalog", too.
BEGIN { for (i = 1; i < ARGC; i++) { path = ARGV[i]; sub(/^src\//, "", path); ours[path] = 1 } }

FILENAME ~ /LAYERS$/ {
	sub(/#.*/, "")
	if (split($0, part, ":") < 1) next
	gsub(/[ \t]/, "", part[1])
	if (part[1] == "") next
	n = split(part[2], allowed, " ")
	for (i = 1; i <= n; i++) {
		if (!(allowed[i] in module))
			complain(FILENAME ":" FNR, allowed[i] " is not declared above")
		ok[part[1], allowed[i]] = 1
	}
	module[part[1]] = ok[part[1], part[1]] = 1
	next
}

FNR == 1 {
	split(FILENAME, folder, "/"); here = folder[2]
	if (!(here in module)) complain(FILENAME, "the folder is not in src/LAYERS")
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, quoted, "\""); header = quoted[2]
	if (header ~ /\.\./ || (here "/" header) in ours)
		complain(FILENAME ":" FNR, "\"" header "\" wants its module's name in front")
	if (!(header in ours)) next
	split(header, folder, "/")
	if ((here in module) && !((here, folder[1]) in ok))
		complain(FILENAME ":" FNR, here " may not include " header)
}

END { exit bad }
