package command

import (
	"context"

	"plil.net/nuage/cloud"
)

func backup(ctx context.Context, j *job) error {
	site := j.flag("site")
	switch {
	case j.term != nil:
		return cloud.Errorf(cloud.Usage, "a backup is not for a terminal").
			WithHint("send it to a file, without -t: %s", j.Cloud.Door.SSH("backup > nuage-backup.db"))
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
