package gateway

import (
	"context"
	"io"
	"slices"
	"strings"

	"plil.net/nuage/cloud"
)

// copiers are the programs that clients start by themselves to copy files, each with what finds the paths among the
// words of its line. It says no to a line that no client sends.
var copiers = map[string]func(words []word) (paths []int, ok bool){
	"git-receive-pack":   gitPaths,
	"git-upload-archive": gitPaths,
	"git-upload-pack":    gitPaths,
	"rsync":              rsyncPaths,
	"scp":                scpPaths,
}

// copying is a line of the account view that copies files. The first element of its paths names the site.
type copying struct {
	site string
	line string // for a shell in the site's container
	late bool   // the paths are not in the line but on stdin: rsync -s
}

// parseCopying reads what rsync, git and scp -O send; ok is false for any other line. What follows the site in a path
// stays as it is written, so that a shell in the container, and no other, expands what the client left to expand.
// Full completes the name of a site.
func parseCopying(line string, full func(string) string) (c copying, ok bool, err error) {
	name, _, _ := strings.Cut(line, " ")
	find := copiers[name]
	if find == nil {
		return c, false, nil
	}
	words, err := cut(line)
	if err != nil {
		return c, true, err
	}
	paths, ok := find(words)
	switch {
	case !ok:
		return c, false, nil
	case name == "rsync" && !slices.ContainsFunc(words, isDot):
		return copying{line: line, late: true}, true, nil
	}
	raw, err := c.rewrite(words, paths, full)
	c.line = strings.Join(raw, " ")
	return c, true, err
}

// copy runs the line in its site, or tells what is wrong with it.
func (s *session) copy(ctx context.Context, c copying, err error) int {
	stdin := io.Reader(s.channel)
	if err == nil && c.late {
		stdin, err = c.readLate(stdin, s.cloud.FullName)
	}
	if err != nil {
		return s.fail(err)
	}
	return s.runIn(ctx, c.site, stdin, "/bin/sh", "-c", c.line)
}

// rewrite makes the words that the program gets in the container, where the working directory is the home. All paths
// have to be in one site.
func (c *copying) rewrite(words []word, paths []int, full func(string) string) ([]string, error) {
	if len(paths) == 0 {
		return nil, noSiteIn("")
	}
	raw := make([]string, len(words))
	for i, w := range words {
		raw[i] = w.after(0)
	}
	for _, i := range paths {
		rest, err := c.enter(words, words[i].value, full)
		if err != nil {
			return nil, err
		}
		raw[i] = "./" + words[i].after(len(words[i].value)-len(rest))
		if slices.Contains(rsyncPathOptions, words[i-1].value) { // a relative one is below rsync's destination
			raw[i] = cloud.HomePath + raw[i][1:]
		}
	}
	return raw, nil
}

// enter takes the site from a path of words, and returns the rest.
func (c *copying) enter(words []word, path string, full func(string) string) (rest string, err error) {
	first, rest := splitSite(path)
	site := full(first)
	switch {
	case first == "":
		return "", noSiteIn(path)
	case rest == "" && fetchesWhole(words, path):
		return "", cloud.Errorf(cloud.Usage, "%q is a whole site: name a file or folder in it", path).
			WithHint("end it with a slash for rsync, like %s/; use scp without -O", site)
	case c.site != "" && c.site != site:
		return "", cloud.Errorf(cloud.Usage, "the paths are in two sites, %q and %q", c.site, site).
			WithHint("copy from one site at a time")
	}
	c.site = site
	return rest, nil
}

// splitSite takes the first element off a path; "/blog/www", "~/blog/www" and "./blog/www" mean the same.
func splitSite(path string) (site, rest string) {
	path = strings.TrimPrefix(path, "~/")
	for strings.HasPrefix(path, "/") || strings.HasPrefix(path, "./") {
		_, path, _ = strings.Cut(path, "/")
	}
	site, rest, _ = strings.Cut(path, "/")
	if slices.Contains([]string{".", "..", "~"}, site) {
		return "", ""
	}
	return site, rest
}

func noSiteIn(path string) error {
	return cloud.Errorf(cloud.Usage, "path %q names no site", path).WithHint("begin it with a site of yours, like blog/www/")
}
