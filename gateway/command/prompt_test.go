package command

import (
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// person sits at a terminal: types, and waits for what the screen says.
type person struct {
	t      *testing.T
	keys   *io.PipeWriter
	sizes  chan cloud.WindowSize
	status chan int

	mu     sync.Mutex
	screen strings.Builder
	seen   int // of the screen
}

func (p *person) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.screen.Write(b)
}

// sit gives a terminal to fn.
func sit(t *testing.T, w *world, who string, fn func(context.Context, Call) int) *person {
	t.Helper()
	in, keys := io.Pipe()
	p := &person{t: t, keys: keys, sizes: make(chan cloud.WindowSize), status: make(chan int, 1)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.status <- fn(ctx, Call{
			Cloud: w.Cloud, Who: w.who[who], Stdin: in, Stdout: p, Stderr: p, TTY: true, Term: "xterm",
			Size: cloud.WindowSize{Columns: 80, Rows: 24}, Resize: p.sizes,
		})
	}()
	t.Cleanup(func() {
		_ = keys.Close()
		cancel()
		<-ended
	})
	return p
}

func prompt(t *testing.T, w *world, who string) *person {
	p := sit(t, w, who, Prompt)
	p.expect("nuage> ")
	return p
}

func at(t *testing.T, w *world, who, line string) *person {
	return sit(t, w, who, func(ctx context.Context, c Call) int { return Run(ctx, c, line) })
}

func (p *person) types(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.keys, s); err != nil {
		p.t.Fatal(err)
	}
}

// expect waits until what was not looked at yet holds text, and returns it up to there.
func (p *person) expect(text string) string {
	p.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		p.mu.Lock()
		rest := p.screen.String()[p.seen:]
		if i := strings.Index(rest, text); i >= 0 {
			p.seen += i + len(text)
			p.mu.Unlock()
			return rest[:i]
		}
		p.mu.Unlock()
		if time.Now().After(end) {
			p.t.Fatalf("the screen does not say %q but %q", text, rest)
		}
	}
}

func (p *person) ends(want int) {
	p.t.Helper()
	select {
	case got := <-p.status:
		if got != want {
			p.t.Errorf("ends with %d; want %d", got, want)
		}
	case <-time.After(time.Minute):
		p.t.Fatalf("does not end; the screen says %q", p.screen.String())
	}
}

func TestPrompt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := sit(t, w, "alice", Prompt)
	if hello := p.expect("nuage> "); !strings.HasPrefix(hello, "Hello alice.") || !strings.HasSuffix(hello, "\r\n") {
		t.Errorf("welcome %q", hello)
	}
	p.types("whoami\r")
	if out := p.expect("nuage> "); !strings.Contains(out, "\r\nname       alice\r\n") || strings.Contains(strings.ReplaceAll(out, "\r\n", ""), "\n") {
		t.Errorf("whoami prints %q", out)
	}
	p.types("site lst\r")
	if out := p.expect("nuage> "); !strings.Contains(out, "hint: all commands: help\r\n") {
		t.Errorf("hints say %q", out)
	}
	p.types("\r  \r")
	p.expect("nuage> ")
	p.expect("nuage> ")
	p.types("\x1b[A\x1b[A\r") // two up
	if out := p.expect("nuage> "); !strings.Contains(out, "name       alice") {
		t.Errorf("history repeats %q", out)
	}
	p.types("exit\r")
	p.ends(0)
}

func TestPromptEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, keys := range []string{"\x04", "exit\r", "quit\r", " logout \r"} {
		p := prompt(t, w, "alice")
		p.types(keys)
		p.ends(0)
	}
	p := prompt(t, w, "alice")
	_ = p.keys.Close()
	p.ends(0)
	status := Prompt(t.Context(), Call{Cloud: w.Cloud, Who: cloud.Who{Account: "alice", Key: "SHA256:gone"}})
	if status != cloud.Denied.Exit() {
		t.Errorf("a removed key ends with %d", status)
	}
}

func TestPromptCtrlC(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "alice", "site create blog")
	p := prompt(t, w, "alice")
	p.types("site delete blog --yes\x03")
	if out := p.expect("nuage> "); !strings.HasSuffix(out, "^C\r\n") {
		t.Errorf("Ctrl-C shows %q", out)
	}
	p.types("whoami\r") // nothing of the dropped line is left
	if out := p.expect("nuage> "); !strings.Contains(out, "name       alice") {
		t.Errorf("after Ctrl-C: %q", out)
	}
	site, _ := w.Site(t.Context(), w.who["alice"], "blog")
	p.types("site logs blog -f\r")
	w.engine.Say(site.ID, "visit \x1b[31mred\x1b[0m\r\n")
	if out := p.expect("red"); !strings.Contains(out, `visit \x1b[31m`) {
		t.Errorf("the log shows %q", out)
	}
	p.types("typed in vain\x03")
	if out := p.expect("nuage> "); !strings.Contains(out, "^C\r\n") || strings.Contains(out, "nuage: ") {
		t.Errorf("Ctrl-C shows %q", out)
	}
	p.types("whoami\r")
	if out := p.expect("nuage> "); !strings.Contains(out, "name       alice") {
		t.Errorf("after the log: %q", out)
	}
	p.types("site logs blog -f\r\x03whoami\r") // typed ahead
	p.expect("^C\r\n")
	p.expect("name       alice")
	p.expect("nuage> ")
}

func TestPromptShell(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/bin/bash"); err != nil {
		if strings.Contains(os.Getenv("NUAGE_MUST"), "bash") {
			t.Fatal(err)
		}
		t.Skip("no /bin/bash for the fake's shells")
	}
	w := newWorld(t)
	w.must(t, "alice", "site create blog")
	p := prompt(t, w, "alice")
	// All of it is typed before the shell runs: none of it is lost to the line editor.
	p.types("shell blog\recho to-$((40+2))-$TERM\rexit 5\r")
	p.expect("to-42-xterm")
	p.expect("nuage> ")
	p.types("whoami\r")
	p.expect("name       alice\r\n")
	p.expect("nuage> ")

	p.types("run blog -- sh -c 'stty raw -echo; echo ready; head -c 3 | od -An -tx1'\r")
	p.expect("ready\n")
	p.types("\x03\x04x") // Ctrl-C belongs to the program
	p.expect("03 04 78")
	p.expect("nuage> ")

	p.types("run blog -- sh -c 'stty size; until [ \"$(stty size)\" = \"50 132\" ]; do sleep 0.01; done; echo grown'\r")
	p.expect("24 80")
	p.sizes <- cloud.WindowSize{Columns: 132, Rows: 50}
	p.expect("grown\r\n")
	p.expect("nuage> ")
	p.types("run blog -- stty size\r")
	p.expect("50 132\r\n")
}

func TestPromptKeepsOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "alice", "site create blog")
	p := prompt(t, w, "alice")
	p.types("site delete blog\rblog.plil.test\rsite list --json\rexit\r")
	p.expect("blog.plil.test is deleted\r\n")
	p.expect("[]\r\n")
	p.ends(0)
}

func TestPromptHostile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := prompt(t, w, "alice")
	p.types("\x1b" + strings.Repeat("9", 600)) // a sequence that never ends
	p.types("\x03")
	p.types("\xff\xfe\xc3\x03")
	p.types(strings.Repeat("x", 5000) + "\x03")
	for _, s := range []cloud.WindowSize{{Columns: 1, Rows: 1}, {}, {Columns: 65535, Rows: 65535}, {Columns: 2, Rows: 0}, {Columns: 80, Rows: 24}} {
		p.sizes <- s
		p.types("abc\x01\x05\x0b\x15")
	}
	p.types("\x03whoami\r")
	p.expect("name       alice")
	p.types("exit\r")
	p.ends(0)
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "alice", "site create blog")
	for _, c := range []struct {
		keys   string
		status int
		says   string
	}{
		{"blgo.plil.test\r", 3, `nuage: "blgo.plil.test" is not "blog.plil.test": nothing was deleted` + "\r\n"},
		{"\r", 3, "nothing was deleted\r\n"},
		{"blog.plil.test\x03", 130, "^C\r\n"},
		{"\x04", 130, "nuage: cancelled\r\n"},
	} {
		p := at(t, w, "alice", "site delete blog")
		p.expect("Type blog.plil.test to do it: ")
		p.types(c.keys)
		p.expect(c.says)
		p.ends(c.status)
		w.must(t, "alice", "site info blog")
	}
	p := at(t, w, "alice", "site delete blog")
	p.expect("to do it: ")
	p.types("x\x7fblog.plix\x7fl.test\r") // echo and editing are ours
	p.expect("blog.plil.test is deleted\r\n")
	p.ends(0)

	p = at(t, w, "root", "account delete bob")
	p.expect("Type bob to do it: ")
	p.types("bob\r")
	p.expect("bob is deleted\r\n")
	p.ends(0)
}

func TestTerminalCommands(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := at(t, w, "alice", "key add --label new")
	p.expect("Paste the public key")
	p.types(publicKey(9) + "\r")
	p.expect("lets alice in\r\n")
	p.ends(0)

	p = at(t, w, "root", "backup")
	p.expect("hint: send it to a file, without -t: ssh -p 2222 nuage.test backup > nuage-backup.db\r\n")
	p.ends(2)

	p = at(t, w, "alice", "site create blog")
	p.expect("http://blog.plil.test:8080/\r\n")
	p.ends(0)

	p = at(t, w, "alice", "run blog -- sh -c 'printf \"raw\\n\" && stty raw && printf \"a\\nb\"; exit 9'")
	p.expect("raw\r\n")
	p.expect("a\nb")
	p.ends(9)

	p = at(t, w, "alice", "site logs blog -f")
	p.types("\x03")
	p.expect("^C\r\n")
	p.ends(130)
}
