package cloud

import (
	"context"
	"time"
)

// Witness sees what goes on, to count it or to tell others. Its methods must not block.
type Witness interface {
	// Saw is told of each event, in the order of the audit.
	Saw(Event)
	// Woke is told how long a site that slept took to come up, or why it did not.
	Woke(took time.Duration, err error)
}

// Witnesses are several.
type Witnesses []Witness

var _ Witness = Witnesses(nil)

func (w Witnesses) Saw(e Event) {
	for _, one := range w {
		one.Saw(e)
	}
}

func (w Witnesses) Woke(took time.Duration, err error) {
	for _, one := range w {
		one.Woke(took, err)
	}
}

// States counts the sites on the web by state, as last published.
func (c *Cloud) States() map[State]int {
	states := map[State]int{}
	for _, s := range *c.table.Load() {
		states[s.State]++
	}
	return states
}

// Healthy reports why people would not be served: the store cannot be read, or the engine is down.
func (c *Cloud) Healthy(ctx context.Context) error {
	if err := c.Store.View(ctx, func(tx Tx) error { _, err := tx.Accounts(); return err }); err != nil {
		return err
	}
	return c.Engine.Ping(ctx)
}
