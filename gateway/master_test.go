package gateway_test

import (
	"os"
	"path/filepath"
	"testing"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

func TestControlMaster(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	socket, err := os.MkdirTemp("", "cm") // short: a socket's path has at most 107 bytes
	w.must(err)
	t.Cleanup(func() { os.RemoveAll(socket) })
	socket = filepath.Join(socket, "s")
	master := ada.program("ssh", "-M", "-N", "-S", socket, "-l", site, "127.0.0.1")
	w.must(master.Start())
	w.eventually("a master", func() bool { return ada.ssh(site, "", "-S", socket, "-O", "check").status == 0 })
	results := make(chan output, 12)
	for i := range cap(results) / 2 {
		go func() {
			results <- ada.ssh(site, "in", "-S", socket, "cat; exit "+string(rune('0'+i)))
			results <- ada.ssh(site, "", "-S", socket, "exit 0")
		}()
	}
	sum := 0
	for range cap(results) {
		o := <-results
		sum += o.status
		if o.stderr != "" || (o.status != 0 && o.stdout != "in") {
			t.Errorf("%+v", o)
		}
	}
	if sum != 0+1+2+3+4+5 {
		t.Errorf("sum of statuses is %d", sum)
	}
	if n := w.gateway.Connections("ada"); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	if o := ada.ssh(site, "", "-S", socket, "-O", "exit"); o.status != 0 {
		t.Errorf("%+v", o)
	}
	if err := master.Wait(); err != nil && master.ProcessState.ExitCode() != 255 {
		t.Errorf("the master: %v", err)
	}
}
