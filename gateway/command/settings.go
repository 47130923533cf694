package command

// siteSettings are what "site set" takes, each by an example, in the order of its help.
var siteSettings = [][2]string{
	{"type=static", "php: a container that runs PHP; static: files only"},
	{"root=www/public", "the directory in the home that is on the web"},
	{"https=force", "visitors who come by HTTP are sent to HTTPS"},
	{"main=www.example.org", "the name that visitors of the site's other names are sent to"},
	{"maintenance=on", "visitors see a page that says that the site will be back"},
	{"password=-", "visitors need it, with any user name; - reads it from standard input, or asks at a terminal"},
	{"idle=2h", "how long it goes unused before it sleeps, or never, as far as the group allows"},
	{"php=8.4", "one of the images that the school offers"},
	{"owner=jean.dupont", "one of its members, to whom the owner hands it over"},
}

// accountSettings are what "account set" takes.
var accountSettings = [][2]string{
	{"group=teachers", "what it belongs to"},
	{"role=admin", "member or admin"},
	{"link=yes", "the next person to log in at the school under its name gets it; no: it is bound to nobody there"},
	{"max_sites=5", "sites that it may own"},
	{"memory=256MiB", "of each site"},
	{"cpus=1", "of each site"},
	{"disk=2GiB", "of each site"},
	{"idle=never", "how long its sites go unused before they sleep"},
}
