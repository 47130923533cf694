package gateway

import (
	"context"
	"fmt"

	"plil.net/nuage/cloud"
	"plil.net/nuage/sftpfs"
)

// sftp serves the files of the view: of its site, or of all sites of the account. It ends with the client: in a site
// that it may no longer use each request is told why not, while those of the account's other sites go on.
func (s *session) sftp(ctx context.Context) int {
	view, owner := sftpfs.AccountView(sites{s.cloud, s.who}), s.who.Account
	if s.site != "" {
		home, site, err := s.cloud.Files(ctx, s.who, s.site)
		if err != nil {
			return s.fail(err)
		}
		view, owner = sftpfs.SiteView(home), site.Owner
	}
	err := sftpfs.Serve(ctx, files{s, ctx}, view, sftpfs.Options{User: owner, Say: s.say, Log: s.log})
	switch {
	case ctx.Err() != nil:
		return cloud.Cancelled.Exit()
	case err != nil:
		return s.fail(cloud.Errorf(cloud.Invalid, "the SFTP client does not keep to the protocol").Because(err))
	}
	return 0
}

// say talks to the person behind an SFTP client: OpenSSH's print what comes on stderr.
func (s *session) say(message string) { fmt.Fprintf(s.stderr, "nuage: %s\n", message) }

// files is the channel as SFTP uses it.
type files struct {
	*session
	ctx context.Context // of the program
}

func (f files) Read(p []byte) (int, error)  { return f.channel.Read(p) }
func (f files) Write(p []byte) (int, error) { return f.stdout.Write(p) }

// Close does nothing where SFTP ended by itself: the status is still to come. Where it is cut, the end of the
// channel makes Read return, because the client closes it too.
func (f files) Close() error {
	if f.ctx.Err() != nil {
		f.finish(cloud.Cancelled.Exit())
	}
	return nil
}

// sites are those that an account may use.
type sites struct {
	cloud *cloud.Cloud
	who   cloud.Who
}

var _ sftpfs.Sites = sites{}

func (s sites) Names(ctx context.Context) ([]string, error) {
	all, err := s.cloud.Sites(ctx, s.who, false)
	var names []string
	for _, site := range all {
		if site.Settled() {
			names = append(names, site.Name)
		}
	}
	return names, err
}

func (s sites) Open(ctx context.Context, name string) (string, sftpfs.Site, error) {
	home, site, err := s.cloud.Files(ctx, s.who, name)
	return site.Name, home, err
}
