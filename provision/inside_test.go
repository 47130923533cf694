package provision

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestThreads changes threads for good and finds that nobody else ever runs there.
func TestThreads(t *testing.T) {
	if os.Geteuid() != 0 {
		if slices.Contains(strings.Split(os.Getenv("NUAGE_MUST"), ","), "root") {
			t.Fatal("NUAGE_MUST has root")
		}
		t.Skip("only root can become somebody else")
	}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			err := onThread(func() error {
				if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNET); err != nil {
					return err
				}
				if err := become(4321); err != nil {
					return err
				}
				if _, err := os.ReadFile("/proc/thread-self/environ"); err == nil {
					t.Error("the thread still reads what is root's")
				}
				if err := become(0); err == nil {
					t.Error("the thread came back")
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if got := unix.Geteuid(); got != 0 {
				t.Errorf("a goroutine runs as %d", got)
			}
		})
	}
	all.Wait()
	deadline := time.Now().Add(time.Minute)
	for strangers() > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d threads are left elsewhere", strangers())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// strangers counts the threads of this process that are in another network than the process.
func strangers() (n int) {
	own, _ := os.Readlink("/proc/self/ns/net")
	links, _ := filepath.Glob("/proc/self/task/*/ns/net")
	for _, link := range links {
		if at, err := os.Readlink(link); err == nil && at != own {
			n++
		}
	}
	return n
}

// TestIsDying of one that lives, one that is dead and waits to be asked how it ended, and one that is gone.
func TestIsDying(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if isDying(cmd.Process.Pid) {
		t.Error("alive, it is taken for dying")
	}
	in.Close()
	for deadline := time.Now().Add(time.Minute); !isDying(cmd.Process.Pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("dead, it is taken for alive")
		}
	}
	if err := cmd.Wait(); err != nil || !isDying(cmd.Process.Pid) {
		t.Errorf("gone, it is taken for alive: %v", err)
	}
}

func TestNamespacesAreTheContainers(t *testing.T) {
	t.Parallel()
	for pid, container := range map[int]string{os.Getpid(): "0123456789abcdef", 1 << 30: "x", 0: ""} {
		if ns, err := openNamespaces(pid, container); err == nil {
			ns.close()
			t.Errorf("entered process %d for container %q", pid, container)
		}
	}
}
