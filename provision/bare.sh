# The one program of a container without a web server. It names the uid, as /usr/lib/nuage/serve of the image does, and says so.
mkdir -p /run/nuage
printf 'site:x:%s:%s:site:/home/site:/bin/bash\n' "$(id -u)" "$(id -g)" >/run/nuage/passwd
printf 'site:x:%s:\n' "$(id -g)" >/run/nuage/group
: >/run/nuage/shadow
echo ready
exec sleep infinity
