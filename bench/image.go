package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// lightImage is the name of the image with the light server, as the gateway's config has it.
const lightImage = "light"

func (s *stage) lightTag() string { return fmt.Sprintf("nuage/bench-light:%d", os.Getpid()) }

// makeLight builds the image, which goes when the bench ends.
func (s *stage) makeLight() error {
	dir := s.path("image")
	build := exec.Command("go", "build", "-o", dir+"/light", "./bench/light")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(dir+"/Dockerfile", []byte("FROM scratch\nCOPY light /light\nCMD [\"/light\"]\n"), 0o644)); err != nil {
		return err
	}
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build ./bench/light: %w: %s", err, out)
	}
	s.light = true
	return command("docker", "build", "-q", "-t", s.lightTag(), dir)
}
