package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"plil.net/nuage/provision/provisiontest"
)

// TestAFewKills is the part "kills" in short: with the machine's own daemon, which is left alone, and without any.
func TestAFewKills(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"ssh", "sftp", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			provisiontest.Skip(t, "ssh", err.Error())
		}
	}
	nuage := filepath.Join(t.TempDir(), "nuage")
	if out, err := exec.Command("go", "build", "-o", nuage, "plil.net/nuage/cmd/nuage").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	for _, c := range []struct {
		engine string
		kills  int
	}{{"none", 6}, {"docker", 3}} {
		t.Run(c.engine, func(t *testing.T) {
			t.Parallel()
			d := daemonIn(t.TempDir())
			if c.engine == "docker" {
				borrow(t, d)
			}
			p := plan{people: 2, load: 2 * time.Second, seed: rand.Uint64(), nuage: nuage}
			t.Logf("seed %d", p.seed)
			s, err := newStage(p, d)
			if err != nil {
				t.Fatal(err)
			}
			s.engine, s.network = c.engine, fmt.Sprintf("10.204.%d.0/24", rand.IntN(256))
			t.Cleanup(func() {
				if err := s.clean(); err != nil {
					t.Error(err)
				}
				sum := sha256.Sum256([]byte(s.data))
				for _, family := range []string{"inet", "bridge"} { // it may have made none
					_ = exec.Command("nft", "delete", "table", family, "nuage_"+hex.EncodeToString(sum[:4])).Run()
				}
			})
			if err := p.killMany(s, c.kills); err != nil {
				s.log.show()
				t.Error(err)
			}
			if s.tally.list("acknowledged: ") == "none" {
				t.Errorf("nothing was done; refused: %s", s.tally.list("refused with "))
			}
		})
	}
}

// borrow has d be the machine's own daemon.
func borrow(t *testing.T, d *daemon) {
	t.Helper()
	if err := os.Symlink("/var/run/docker.sock", d.socket()); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("docker", "-H", d.host(), "image", "inspect", image).CombinedOutput(); err != nil {
		provisiontest.Skip(t, "docker", fmt.Sprintf("make image: %v: %s", err, out))
	}
	if os.Geteuid() != 0 {
		t.Skip("homes belong to the uids of sites, which only root can look at")
	}
}
