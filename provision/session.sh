# Signals the processes of one session, and tells its leader and how many of them are left.
# usage: sh -c SCRIPT sh MARK LEADER SIGNALS [group]
#
# The leader is the process that the engine started (its parent is outside: 0) with the mark in its
# environment. What it moved to another session by setsid is left alone. LEADER is what an earlier call
# told, for members outlive it. With "group" only the leader's process group is signalled.
# Only builtins: where a site is at its limit of processes, this must not fork.
mark=$1 leader=$2 signals=$3 scope=${4-session}

marked() {
	while read -r line || [ -n "$line" ]; do
		case $line in *"NUAGE_SESSION=$mark"*) return 0 ;; esac
	done 2>/dev/null </proc/$1/environ
	return 1
}
look() { # sets state, parent, session
	read -r line 2>/dev/null </proc/$1/stat || return 1
	set -- ${line##*) }
	state=$1 parent=$2 session=$4
}
send() {
	for signal in $signals; do kill -s "$signal" -- "$1" 2>/dev/null; done
}

if [ -z "$leader" ]; then
	for p in /proc/[0-9]*; do
		p=${p#/proc/}
		look "$p" && [ "$p" != 1 ] && marked "$p" || continue
		[ "$parent" = 0 ] && leader=$p && break
		# Of a leader that is gone its session is left. What moved by setsid has a leader: itself.
		[ -e "/proc/$session" ] || leader=$session
	done
elif look "$leader" && [ "$state" != Z ] && ! marked "$leader"; then
	leader= # somebody else has the number now
fi
left=0
if [ -n "$leader" ]; then
	[ "$scope" = group ] && send "-$leader"
	for p in /proc/[0-9]*; do
		p=${p#/proc/}
		look "$p" && [ "$session" = "$leader" ] && [ "$state" != Z ] || continue
		left=$((left + 1))
		[ "$scope" = session ] && send "$p"
	done
fi
echo "${leader:--} $left"
