package acme

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/libdns/libdns"
)

// Program sets DNS records by a program of the admin's, for a DNS that takes no dynamic updates. It is called as by lego's exec provider,
// so the scripts that there are for that one do:
//
//	PROGRAM present _acme-challenge.example.org. VALUE
//	PROGRAM cleanup _acme-challenge.example.org. VALUE
//
// A status that is not 0 is a failure, told with the last line that it wrote.
type Program struct{ Path string }

// programMost is how long one call may take.
const programMost = 2 * time.Minute

// AppendRecords has the program set each of the records.
func (p Program) AppendRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return p.each(ctx, "present", zone, records)
}

// DeleteRecords has the program remove each of the records.
func (p Program) DeleteRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return p.each(ctx, "cleanup", zone, records)
}

// each returns the records up to the one that failed.
func (p Program) each(ctx context.Context, verb, zone string, records []libdns.Record) ([]libdns.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, programMost)
	defer cancel()
	for n, record := range records {
		rr := record.RR()
		cmd := exec.CommandContext(ctx, p.Path, verb, libdns.AbsoluteName(rr.Name, zone), rr.Data)
		cmd.WaitDelay = time.Second // for a child that keeps its output open
		var said tail
		cmd.Stdout, cmd.Stderr = &said, &said
		err := cmd.Run()
		if ctx.Err() == context.DeadlineExceeded {
			err = fmt.Errorf("not done in %s", programMost)
		}
		if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
			return records[:n], fmt.Errorf("%s %s: %w%s", p.Path, verb, err, lastLine(said))
		}
	}
	return records, nil
}

// tail keeps the end of what is written to it: a program that never ends its line, or never stops, takes no memory.
type tail []byte

const tailSize = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	*t = append(*t, b[max(0, len(b)-tailSize):]...)
	*t = (*t)[max(0, len(*t)-tailSize):]
	return len(b), nil
}

// lastLine is ready to be put behind an error.
func lastLine(out []byte) string {
	said := strings.TrimSpace(string(out))
	if said == "" {
		return ""
	}
	line := said[strings.LastIndexByte(said, '\n')+1:]
	return ": " + strings.ToValidUTF8(line[:min(len(line), 200)], "")
}
