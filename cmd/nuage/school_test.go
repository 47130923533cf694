package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"

	"plil.net/nuage/login/logintest"
)

// school is the login server of a script: "school start" writes ca.pem and puts its [oidc] with the lines of ./oidc.toml
// into ./more.toml, so it comes before "serve". "school knows NAME SUBJECT claim=value…" lets somebody log in; a value
// with commas is a list. "school away" and "school back" cut it off.
func school(ts *testscript.TestScript, _ bool, args []string) {
	g := of(ts)
	switch args[0] {
	case "start":
		options := logintest.Options{}
		if len(args) > 1 { // "proxied": only a proxy knows the way
			options.Says = "https://" + logintest.Name
		}
		p, err := logintest.New(options)
		ts.Check(err)
		g.school = p
		issuer := p.Issuer
		if options.Says != "" {
			issuer, g.proxy = options.Says, p.NewProxy()
			ts.Setenv("PROXY", g.proxy.URL)
		}
		ts.Check(os.WriteFile(g.path("ca.pem"), p.CA(), 0o600))
		extra, _ := os.ReadFile(g.path("oidc.toml"))
		text := fmt.Sprintf("[oidc]\nissuer = %q\nclient_id = %q\nca = %q\n%s", issuer, logintest.ClientID, g.path("ca.pem"), extra)
		ts.Check(os.WriteFile(g.path("more.toml"), []byte(text), 0o600))
	case "knows":
		claims := map[string]any{}
		for _, pair := range args[3:] {
			name, value, _ := strings.Cut(pair, "=")
			claims[name] = value
			if strings.Contains(value, ",") {
				claims[name] = strings.Split(value, ",")
			}
			if n, ok := strings.CutPrefix(value, "×"); ok { // ×10000: so many letters
				count := 0
				fmt.Sscan(n, &count)
				claims[name] = strings.Repeat("a", count)
			}
		}
		g.school.Knows(args[1], args[2], claims)
	case "away":
		g.school.Intercept(logintest.Away)
	case "back":
		g.school.Intercept(nil)
	case "forgets": // the codes that it gave out
		g.school.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/token") {
				return false
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"expired_token"}`)
			return true
		})
	}
}

var shownCode = regexp.MustCompile(`Open (https://\S+), enter the code (\S+), then press Enter`)

// visits runs a client at a terminal and plays the browser: visits NAME COMMAND… . NAME is who logs in at the school,
// "!NAME" who says no there, "-" nobody. What the terminal showed is in ./screen, and its status has to be 0, or
// with a leading "!" of the script's command something else.
func visits(ts *testscript.TestScript, neg bool, args []string) {
	g := of(ts)
	name, words := args[0], args[1:]
	var keys string
	if k, ok := strings.CutPrefix(words[0], "keys="); ok { // typed at the first prompt
		keys, words = k, words[1:]
	}
	if words[0] == "ssh" {
		words = append([]string{"ssh", "-F", g.path("ssh")}, words[1:]...)
	}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = g.dir
	cmd.Env = append(os.Environ(), "HOME="+g.dir, "LC_ALL=C.UTF-8", "TERM=xterm")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 200})
	ts.Check(err)
	defer tty.Close()
	screen := &terminalScreen{}
	done := make(chan struct{})
	go func() { defer close(done); _, _ = io.Copy(screen, tty) }()
	kill := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	if name != "-" {
		g.browse(ts, screen, done, name, keys, tty)
	}
	err = cmd.Wait()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
	}
	ts.Check(os.WriteFile(g.path("screen"), []byte(strings.ReplaceAll(screen.String(), "\r", "")), 0o600))
	if (err != nil) != neg {
		ts.Fatalf("%v: the screen was\n%s", err, screen.String())
	}
}

// browse waits for a code, goes to the school with it, and presses Enter.
func (g *gatewayUnderTest) browse(ts *testscript.TestScript, screen *terminalScreen, done chan struct{}, name, keys string, tty io.Writer) {
	person, allow := strings.TrimPrefix(name, "!"), !strings.HasPrefix(name, "!")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if found := shownCode.FindStringSubmatch(screen.unwrapped()); found != nil {
			if keys != "" {
				_, _ = io.WriteString(tty, keys+"\n")
				for end := time.Now().Add(time.Minute); len(shownCode.FindAllString(screen.unwrapped(), -1)) < 2 && time.Now().Before(end); {
					time.Sleep(10 * time.Millisecond)
				}
			}
			ts.Check(g.school.Browse(found[1], found[2], person, allow))
			_, _ = io.WriteString(tty, "\n")
			return
		}
		select {
		case <-done:
			ts.Fatalf("the client ended without a code: %s", screen.String())
		default:
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no code came: %s", screen.String())
		}
	}
}

// terminalScreen is what a terminal was sent.
type terminalScreen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *terminalScreen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *terminalScreen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// unwrapped is without the lines that PuTTY makes of long ones.
func (s *terminalScreen) unwrapped() string {
	return strings.ReplaceAll(strings.ReplaceAll(s.String(), "\r", ""), "\n> ", "")
}
