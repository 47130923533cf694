package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// treeFiles is how many small files a tree has, in folders of a hundred.
const treeFiles = 3000

// tree copies many small files with scp, each time to where nothing is. What it costs is a question and an answer for
// each step of each file.
func (s *stage) tree() ([]row, error) {
	n := treeFiles
	if s.quick {
		n /= 10
	}
	if err := s.makeTree(n); err != nil {
		return nil, err
	}
	if err := s.ssh("nuage", "site", "create", "tree", "--type", "static"); err != nil {
		return nil, err
	}
	copies := 0
	scp := func(from, to string) error {
		copies++
		return command("scp", "-q", "-r", "-F", s.path("ssh"), from, fmt.Sprintf("%s%d", to, copies))
	}
	up, peerUp, err := turns(s.runs(5),
		func() error { return scp(s.path("tree"), "nuage:/tree.localhost/") },
		func() error { return scp(s.path("tree"), "openssh:"+s.path("their-tree")) })
	if err != nil {
		return nil, err
	}
	down, peerDown, err := turns(s.runs(5),
		func() error { return scp("nuage:/tree.localhost/1", s.path("our-copy")) },
		func() error { return scp("openssh:"+s.path("their-tree2"), s.path("their-copy")) })
	if err != nil {
		return nil, err
	}
	if err := command("diff", "-r", s.path("tree"), fmt.Sprintf("%s%d", s.path("our-copy"), copies-1)); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("`scp -r` of %d files of 0–16 KiB, %%s", n)
	return []row{
		{name: fmt.Sprintf(name, "up"), ours: up, peer: peerUp, peerName: "OpenSSH's internal-sftp", goal: 0.9},
		{name: fmt.Sprintf(name, "down"), ours: down, peer: peerDown, peerName: "OpenSSH's internal-sftp", goal: 0.9},
	}, nil
}

func (s *stage) makeTree(n int) error {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		name := filepath.Join(s.path("tree"), fmt.Sprint(i/100), fmt.Sprint(i))
		err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, make([]byte, random.IntN(16<<10+1)), 0o644))
		if err != nil {
			return err
		}
	}
	return nil
}
