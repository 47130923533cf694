package main

import (
	"errors"
	"fmt"
)

// rsync sends the tree into a site's container, and to OpenSSH on the host; then once more when all is there.
func (s *stage) rsync() ([]row, error) {
	files := treeFiles
	if s.quick {
		files /= 10
	}
	if err := errors.Join(s.makeTree(files), s.box()); err != nil {
		return nil, err
	}
	send := func(to string, fresh int) func() error {
		n := 0
		return func() error {
			n += fresh
			return command("rsync", "-a", "-e", "ssh -F "+s.path("ssh"), s.path("tree")+"/", fmt.Sprintf("%s%d/", to, n))
		}
	}
	first, peerFirst, err := turns(s.runs(5), send("nuage:box.localhost/r", 1), send("openssh:"+s.path("theirs-r"), 1))
	if err != nil {
		return nil, err
	}
	again, peerAgain, err := turns(s.runs(10), send("nuage:box.localhost/r", 0), send("openssh:"+s.path("theirs-r"), 0))
	name := fmt.Sprintf("`rsync -a` of %d files of 0–16 KiB into the container, %%s", files)
	return []row{
		{name: fmt.Sprintf(name, "first"), ours: first, peer: peerFirst, peerName: "OpenSSH on the host", goal: 1.2},
		{name: fmt.Sprintf(name, "again with no change"), ours: again, peer: peerAgain, peerName: "OpenSSH on the host", goal: 1.2},
	}, err
}

// box makes sure of a PHP site named box.
func (s *stage) box() error {
	if s.engine == "none" {
		return errors.New("no engine answers")
	}
	if s.ssh("nuage", "site", "info", "box") == nil {
		return nil
	}
	return s.createSite("box", "php")
}
