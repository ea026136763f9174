# Read by the launchers beside it: finds a Node that is new enough, whatever the system's is.
#   in:  $here, the launchers' directory      out: $node, or a sentence and exit 1

new_enough() {
	[ "${1:-0}" -ge 24 ] 2>/dev/null
}

# The major version that a package.json tells. Without a program: starting one takes longer than all that is done here.
major_of() {
	while IFS= read -r line; do
		case $line in
		*'"version":'*)
			line=${line#*'"version":'}
			line=${line#*\"}
			major=${line%%.*}
			return
			;;
		esac
	done <"$1"
	major=0
}

# The package's own Node lies in its node_modules, or, where keelson is itself a dependency, in one further up.
find_node() {
	directory=$here
	while directory=${directory%/*}; do
		for package in "$directory"/node_modules/node-linux-*; do
			if [ -x "$package/bin/node" ] && major_of "$package/package.json" && new_enough "$major"; then
				node=$package/bin/node
				return
			fi
		done
		[ -n "$directory" ] || break
	done
	node=$(command -v node) && new_enough "$("$node" -p 'process.versions.node.split(".")[0]')"
}

find_node || {
	echo "${self##*/} needs Node 24 or newer, and found none beside itself or on PATH: run npm install in ${here%/*}" >&2
	exit 1
}

# What Node compiles is kept, or each start would strip and compile all source anew. Not in Node's own place: that is below /tmp, where anybody could
# put what a root daemon would then run.
if [ -O /var/cache ] && [ -z "${NODE_COMPILE_CACHE:-}" ]; then
	NODE_COMPILE_CACHE=/var/cache/keelson/compiled
	export NODE_COMPILE_CACHE
fi
