# Login shells: /etc/profile has just reset PATH.
PATH="$HOME/bin:$HOME/.local/bin:$PATH"
export LANG="${LANG:-C.UTF-8}" EDITOR="${EDITOR:-nano}" PAGER="${PAGER:-less}"
umask 022
if [ -n "${BASH_VERSION-}" ] && [ -n "${PS1-}" ]; then
	PS1="${NUAGE_NAME:-\h}"':\w\$ '
	alias ls='ls --color=auto'
fi
