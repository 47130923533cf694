package command

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"golang.org/x/term"

	"plil.net/nuage/cloud"
)

// errInterrupted is what a line ends with that Ctrl-C ended.
var errInterrupted = cloud.Errorf(cloud.Cancelled, "cancelled")

// terminal is the person's: its keyboard, its size, and who has it at the moment.
type terminal struct {
	keys      *keyboard
	out       io.Writer // raw
	prompting bool      // commands are typed at our prompt
	history   *history

	stop     context.CancelFunc
	stopping sync.WaitGroup

	mu          sync.Mutex
	size        cloud.WindowSize
	editor      *term.Terminal        // while a line is typed
	resized     chan cloud.WindowSize // while a program has the terminal
	interrupted bool
}

// openTerminal takes over the streams of a call. The one who opened it closes it.
func openTerminal(c Call) *terminal {
	ctx, stop := context.WithCancel(context.Background())
	t := &terminal{keys: newKeyboard(), out: client{c.Stdout}, size: c.Size, stop: stop, history: &history{}}
	go t.keys.pump(c.Stdin) // ends when the read fails or the keyboard is closed; nobody can end a read
	t.stopping.Go(func() { t.follow(ctx, c.Resize) })
	return t
}

func (t *terminal) close() {
	t.stop()
	t.keys.close()
	t.stopping.Wait()
}

// follow passes changes of the window on to whoever has the terminal.
func (t *terminal) follow(ctx context.Context, sizes <-chan cloud.WindowSize) {
	for {
		select {
		case s, ok := <-sizes:
			if !ok {
				return
			}
			t.resize(s)
		case <-ctx.Done():
			return
		}
	}
}

func (t *terminal) resize(s cloud.WindowSize) {
	t.mu.Lock()
	t.size = s
	editor, resized := t.editor, t.resized
	t.mu.Unlock()
	if editor != nil {
		fit(editor, s)
	}
	if resized == nil {
		return
	}
	select { // only the last size counts
	case <-resized:
	default:
	}
	resized <- s
}

// maxEdge bounds the size that a client may claim.
const maxEdge = 10_000

func fit(e *term.Terminal, s cloud.WindowSize) {
	defer func() { _ = recover() }() // the editor draws by arithmetic on sizes that a client makes up
	if s.Columns > 0 {
		_ = e.SetSize(min(int(s.Columns), maxEdge), min(int(s.Rows), maxEdge)) // a failed write shows at the next read
	}
}

func (t *terminal) window() cloud.WindowSize {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.size
}

// interruptible runs fn so that Ctrl-C ends its ctx.
func (t *terminal) interruptible(ctx context.Context, fn func(context.Context) int) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.setInterrupted(false)
	t.keys.onInterrupt(func() {
		t.setInterrupted(true)
		cancel()
	})
	defer func() { t.keys.onInterrupt(nil) }()
	status := fn(ctx)
	if t.wasInterrupted() {
		_, _ = io.WriteString(t.out, "^C\r\n")
	}
	return status
}

func (t *terminal) setInterrupted(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.interrupted = on
}

func (t *terminal) wasInterrupted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.interrupted
}

// completer is asked at a TAB; see term.Terminal.AutoCompleteCallback.
type completer func(e *term.Terminal, line string, at int) (string, int, bool)

// readLine reads one line with editing. It takes no byte that comes after the line. io.EOF is Ctrl-D or the end.
func (t *terminal) readLine(ctx context.Context, prompt string, h *history, complete completer) (string, error) {
	e := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{bytewise{t.keys.reader(ctx)}, t.out}, prompt)
	e.History = h
	e.AutoCompleteCallback = func(line string, at int, key rune) (string, int, bool) {
		if key != '\t' || complete == nil {
			return "", 0, false
		}
		return complete(e, line, at)
	}
	t.edit(e)
	defer t.edit(nil)
	line, err := e.ReadLine()
	if errors.Is(err, term.ErrPasteIndicator) {
		err = nil
	}
	return line, err
}

// readSecret reads one line that nobody sees and no history keeps.
func (t *terminal) readSecret(ctx context.Context, prompt string) (string, error) {
	e := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{bytewise{t.keys.reader(ctx)}, t.out}, "")
	t.edit(e)
	defer t.edit(nil)
	return e.ReadPassword(prompt)
}

func (t *terminal) edit(e *term.Terminal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.editor = e
	if e != nil {
		fit(e, t.size)
	}
}

// lend gives the terminal to a program, raw, until done is called. Ctrl-C is a byte for the program then.
func (t *terminal) lend(ctx context.Context) (stdin io.Reader, resized <-chan cloud.WindowSize, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	interrupt := t.keys.onInterrupt(nil)
	sizes := make(chan cloud.WindowSize, 1)
	t.mu.Lock()
	t.resized = sizes
	t.mu.Unlock()
	return t.keys.reader(ctx), sizes, func() {
		cancel()
		t.mu.Lock()
		t.resized = nil
		t.mu.Unlock()
		t.keys.onInterrupt(interrupt)
	}
}

// history is the lines typed at the prompt, newest first.
type history struct{ lines []string }

const maxHistory = 200 // lines

func (h *history) Add(line string) {
	if strings.TrimSpace(line) == "" || len(h.lines) > 0 && h.lines[0] == line {
		return
	}
	h.lines = append([]string{line}, h.lines[:min(len(h.lines), maxHistory-1)]...)
}

func (h *history) Len() int { return len(h.lines) }

func (h *history) At(n int) string { return h.lines[n] }

var _ term.History = (*history)(nil)
