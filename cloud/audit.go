package cloud

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// audit writes events behind the verbs, many in one transaction, so that a login does not wait for the disk.
// Events keep their order. A crash may lose those of the last moment; it never loses a change itself, which
// has its own transaction.
type audit struct {
	store   Store
	log     *slog.Logger
	witness Witness
	now     func() time.Time
	keep    time.Duration // 0: for ever
	most    int           // events of each shelf
	steady  func() bool   // whether the time is to be believed
	aged    time.Time     // when the old ones were last dropped
	queue   chan queued
	late    []queued  // that could not be written yet, of the writer
	failed  time.Time // when that was last tried
	stopped sync.WaitGroup

	mu      sync.Mutex
	grown   chan struct{} // closed when events were added
	trouble error         // why events wait; nil: none do
}

type queued struct {
	event Event         // none: only to wait
	told  bool          // the witness has seen it
	done  chan struct{} // closed once written; nil if nobody waits
}

const (
	auditQueue = 1024                  // events waiting; then verbs wait
	auditBatch = 256                   // events in one transaction
	auditDelay = 50 * time.Millisecond // until what nobody waits for is written: a tree of small files is many events
	auditRetry = time.Second           // after the disk was full
	auditLate  = 10_000                // events of each shelf kept until it no longer is

	maxWords   = 512     // bytes an event keeps of words that somebody made up: no name of ours is longer
	keptEvents = 250_000 // of each shelf; the oldest go
)

func newAudit(o Options) *audit {
	a := &audit{
		store: o.Store, log: o.Log, witness: o.Witness, now: o.Now, keep: o.AuditKeep, most: o.AuditMost, steady: o.Clock.Steady,
		queue: make(chan queued, auditQueue), grown: make(chan struct{}),
	}
	a.stopped.Go(a.write)
	return a
}

func (a *audit) close() {
	close(a.queue)
	a.stopped.Wait()
}

func (a *audit) write() {
	again := time.NewTicker(auditRetry)
	defer again.Stop()
	for {
		select {
		case q, ok := <-a.queue:
			if !ok {
				a.retry()
				return
			}
			a.append(a.gather(q))
		case <-again.C:
			a.retry()
		}
	}
}

// retry writes what could not be written before.
func (a *audit) retry() {
	if len(a.late) > 0 {
		a.append(nil)
	}
}

// gather adds what comes after the first, for as long as nobody waits for one of them.
func (a *audit) gather(first queued) []queued {
	batch := []queued{first}
	late := time.After(auditDelay)
	for waited := first.done != nil; len(batch) < auditBatch; {
		if waited && len(a.queue) == 0 {
			return batch
		}
		select {
		case q, ok := <-a.queue:
			if !ok {
				return batch
			}
			batch = append(batch, q)
			waited = waited || q.done != nil
		case <-late:
			return batch
		}
	}
	return batch
}

// flush returns once all that happened before it is written.
func (a *audit) flush() {
	q := queued{done: make(chan struct{})}
	a.queue <- q
	<-q.done
}

// append writes a batch behind what is late. While it cannot, the verbs that wait go on: what they did is done.
func (a *audit) append(batch []queued) {
	all := append(a.late, batch...)
	if len(a.late) > 0 && time.Since(a.failed) < auditRetry {
		a.later(all)
	} else if err := a.store.Update(context.Background(), func(tx Tx) error { return a.put(tx, all) }); err != nil {
		a.log.Error("audit not written yet", "events", len(all), "err", err, "cause", errors.Unwrap(err))
		a.failed = time.Now()
		a.troubled(err)
		a.later(all)
	} else {
		a.late = nil
		a.tell(all)
	}
	for _, q := range batch {
		if q.done != nil {
			close(q.done)
		}
	}
	a.mu.Lock()
	close(a.grown)
	a.grown = make(chan struct{})
	if len(a.late) == 0 {
		a.trouble = nil
	}
	a.mu.Unlock()
}

func (a *audit) troubled(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trouble = cmp.Or(errors.Unwrap(err), err)
}

// warning tells admins why the audit waits in memory; "" while it does not.
func (a *audit) warning() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.trouble == nil {
		return ""
	}
	return fmt.Sprintf("the store cannot be written, and the audit waits in memory: %v", a.trouble)
}

// put appends the events and gives them their numbers.
func (a *audit) put(tx Tx, all []queued) error {
	for i := range all {
		if all[i].event.Action == "" {
			continue
		}
		last, err := tx.Append(all[i].event)
		if err != nil {
			return err
		}
		all[i].event.Seq = last.Seq
	}
	if err := tx.TrimEvents(a.most); err != nil {
		return err
	}
	return a.dropOld(tx)
}

// later keeps events until they can be written, the last ones of a shelf if there are too many. A full disk is no reason
// to hide them from who watches.
func (a *audit) later(all []queued) {
	a.late = nil
	has := map[Shelf]int{}
	for _, q := range slices.Backward(all) {
		on := q.event.Action.Shelf()
		if q.event.Action == "" || has[on] >= min(auditLate, a.most) {
			continue
		}
		has[on]++
		q.event.Seq = 0
		a.late = append(a.late, queued{event: q.event, told: q.told})
	}
	slices.Reverse(a.late)
	a.tell(a.late)
}

// tell shows the witness what it has not seen.
func (a *audit) tell(all []queued) {
	for i := range all {
		if !all[i].told && all[i].event.Action != "" {
			all[i].told = true
			a.witness.Saw(all[i].event)
		}
	}
}

const (
	agedEvery = time.Minute
	agedMost  = 10_000 // events dropped in one transaction
)

// dropOld drops the events whose time is over. It stops at the first one that is young. Clocks get set back: what is dated
// later than now goes with what comes after it.
func (a *audit) dropOld(tx Tx) error {
	now := a.now()
	if a.keep <= 0 || now.Sub(a.aged).Abs() < agedEvery || !a.steady() {
		return nil
	}
	n, last := 0, uint64(0)
	err := tx.Events(EventFilter{}, func(e Event) bool {
		age := now.Sub(e.Time)
		if n++; n > agedMost || age >= 0 && age < a.keep {
			return false
		}
		if age >= 0 {
			last = e.Seq
		}
		return true
	})
	if err != nil || last == 0 {
		a.aged = now
		return err
	}
	return tx.DropEvents(last)
}

// more returns a channel that is closed when events have been added since the call.
func (a *audit) more() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.grown
}

// quiet are the actions that change nothing: nobody waits until their events are on disk.
var quiet = map[Action]bool{
	WhoAmI: true, Login: true,
	SiteList: true, SiteAll: true, SiteInfo: true, SiteLogs: true, SiteStats: true, SiteFiles: true,
	SiteExec: true, SiteExecStart: true, SiteForward: true, SiteAgent: true,
	FilePut: true, FileGet: true, FileRemove: true,
	DomainList: true, KeyList: true, AccountList: true, AccountInfoOf: true, GroupList: true, AuditRead: true, StatusOf: true,
}

// newEvent begins the event of a verb.
func newEvent(who Who, action Action, on string) Event {
	e := Event{Account: who.doer(), Key: who.Key, Address: who.Address, Action: action, Target: short(on), Certificate: who.Certificate.String()}
	if who.By != "" {
		e.As = who.Account
	}
	return e
}

// record writes the event of a verb that ended.
func (c *Cloud) record(e Event, err error) {
	e.Time, e.Result, e.Detail = c.Now(), "ok", short(e.Detail)
	if err != nil {
		e.Result, e.Detail = string(KindOf(err)), short(err.Error())
	}
	if frequent[e.Action] && c.often.again(e) {
		return
	}
	q := queued{event: e}
	if quiet[e.Action] {
		c.audit.queue <- q
		return
	}
	q.done = make(chan struct{})
	c.audit.queue <- q
	<-q.done
}

func short(s string) string {
	if len(s) <= maxWords {
		return s
	}
	return strings.ToValidUTF8(s[:maxWords], "") + "…"
}

// Audit calls fn for each event that f picks, oldest first; with follow it goes on with new ones until ctx
// ends. An error of fn ends it and is returned.
func (c *Cloud) Audit(ctx context.Context, who Who, f EventFilter, follow bool, fn func(Event) error) error {
	if f.Target != "" {
		f.Target = c.FullName(f.Target)
	}
	return c.do(ctx, who, AuditRead, "", func(Account) error {
		c.audit.flush()
		return c.during(ctx, who, AuditRead, Site{}, func(ctx context.Context) error { return c.follow(ctx, &f, follow, fn) })
	})
}

func (c *Cloud) follow(ctx context.Context, f *EventFilter, follow bool, fn func(Event) error) error {
	for {
		more := c.audit.more()
		if err := c.events(ctx, f, fn); err != nil || !follow {
			return err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// events reads what f picks into memory first: fn may be as slow as a client, a transaction may not. It moves
// f on behind what was read.
func (c *Cloud) events(ctx context.Context, f *EventFilter, fn func(Event) error) error {
	const page = 1000
	for {
		var read []Event
		err := c.Store.View(ctx, func(tx Tx) error {
			return tx.Events(*f, func(e Event) bool {
				read = append(read, e)
				return len(read) < page
			})
		})
		if err != nil {
			return err
		}
		for _, e := range read {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(e); err != nil {
				return err
			}
			f.After, f.Since = e.Seq, time.Time{}
		}
		if len(read) < page {
			return nil
		}
	}
}
