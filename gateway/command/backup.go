package command

import (
	"context"

	"plil.net/nuage/cloud"
)

func backupCommands() []command {
	return []command{{
		verb: "backup", who: users,
		flags: []flag{
			{long: "site", value: "NAME", is: aSite, help: "the files of one site, as a tar"},
			{long: "all", help: "the records and the files of all sites, as a tar", admins: true},
		},
		short: "the files of a website as a tar; for admins, all there is",
		long: "With --site it writes the files of one site as a tar, for its owner and members. All else is for admins: " +
			"alone it writes accounts, keys, sites and audit as they are at one moment, while the gateway runs; with " +
			"--all a tar of them and of the files of all sites. nuage restore reads each.",
		examples: []string{"backup --site blog > blog.tar", "backup > nuage-backup.db", "backup --all > nuage-backup.tar"},
		run:      backup,
	}}
}

func backup(ctx context.Context, j *job) error {
	site := j.flag("site")
	switch {
	case j.term != nil:
		return cloud.Errorf(cloud.Usage, "a backup is not for a terminal").
			WithHint("send it to a file, without -t: %s", j.line("backup > nuage-backup.db"))
	case site != "" && j.is("all"):
		return cloud.Errorf(cloud.Usage, "--all and --site do not go together").WithHint("%s", j.usageLine())
	case site != "":
		return j.skipped(j.Cloud.BackupSite(ctx, j.Who, site, j.Stdout))
	case j.is("all"):
		return j.skipped(j.Cloud.BackupAll(ctx, j.Who, j.Stdout))
	}
	return j.Cloud.Backup(ctx, j.Who, j.Stdout)
}

// skipped tells what is not in the backup. That is no failure: a site can shut its files to nobody but itself.
func (j *job) skipped(list []string, err error) error {
	for _, what := range list {
		j.say("skipped: %s", what)
	}
	return err
}
