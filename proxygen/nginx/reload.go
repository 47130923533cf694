package nginx

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// reload waits for its turn: each reload starts new workers, and the old ones, which it returns, stay until their last
// request ends. The signal is sent from here where nginx's process is known: "nginx -s reload" reads the whole config only
// to find it.
func (p *Publisher) reload() (old workers, err error) {
	time.Sleep(time.Until(p.reloaded.Add(reloadEvery)))
	p.reloaded = time.Now()
	if process := readPID(p.pid); process != nil {
		old = workersOf(process.Pid)
		if process.Signal(syscall.SIGHUP) == nil {
			return old, nil
		}
	}
	_, err = p.run(p.args("-s", "reload")...)
	return old, err
}

// workers are processes of nginx, by their numbers.
type workers []string

// workersOf are the workers of a master; none where the kernel does not tell. The kernel's own list of children may miss some
// while others end.
func workersOf(master int) (w workers) {
	parent := fmt.Sprintf("\nPPid:\t%d\n", master)
	files, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, file := range files {
		if status, err := os.ReadFile(file); err == nil && strings.Contains(string(status), parent) {
			w = append(w, filepath.Base(filepath.Dir(file)))
		}
	}
	return w
}

// retired reports whether none of them takes new connections any more. nginx says so in the title of a process.
func (w workers) retired() bool {
	return !slices.ContainsFunc(w, func(pid string) bool {
		title, err := os.ReadFile("/proc/" + pid + "/cmdline")
		return err == nil && strings.HasPrefix(string(title), "nginx: worker process") && !strings.Contains(string(title), "shutting down")
	})
}

var (
	comment = regexp.MustCompile(`(?m)^\s*#.*$`)
	pidIs   = regexp.MustCompile(`(?:^|[;{}\s])pid\s+([^\s;]+)\s*;`)
)

// pidFile is what a whole config, as nginx tells it, has for the number of its process; "" if that is left to nginx.
func pidFile(whole []byte) string {
	found := pidIs.FindSubmatch(comment.ReplaceAll(whole, nil))
	if found == nil {
		return ""
	}
	return strings.Trim(string(found[1]), `"'`)
}

func readPID(file string) *os.Process {
	if !filepath.IsAbs(file) {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || n <= 1 {
		return nil
	}
	process, err := os.FindProcess(n)
	if err != nil {
		return nil
	}
	return process
}

var markIn = regexp.MustCompile(`Check: (\S+)`)

// serving waits until nginx answers by the file, and no old worker does by the one before. Without plain HTTP there is
// nothing to ask.
func (p *Publisher) serving(text []byte, old workers) error {
	found := markIn.FindSubmatch(text)
	if p.HTTP == "" || found == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), serveTime)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil}}
	for answers := 0; ; {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(p.HTTP)+"/", nil)
		if err != nil {
			return err
		}
		r.Host = string(found[1])
		res, err := client.Do(r)
		if err == nil {
			res.Body.Close()
			if answers++; res.StatusCode != http.StatusNoContent {
				answers = 0
			}
			if answers >= inARow && old.retired() {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			if answers >= inARow { // a worker that hangs
				return nil
			}
			p.Log.Error("nginx was reloaded and does not serve the new file; its own log says why", "file", p.File, "err", err)
			return unavailable("it does not answer by it", ctx.Err())
		case <-time.After(askEvery):
		}
	}
}

// reachable is an address to dial for one that is listened at.
func reachable(addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
