package home

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// TestRestlessHomeRegression: a home whose directories are moved about all the time cannot be counted, and says so.
func TestRestlessHomeRegression(t *testing.T) {
	t.Parallel()
	h, jail := makeHome(t)
	dir := filepath.Join(jail, www)
	const dirs = 64
	for i := range dirs {
		do(t, os.MkdirAll(filepath.Join(dir, "a", fmt.Sprint(i)), 0o755))
		for n := range 50 {
			do(t, os.WriteFile(filepath.Join(dir, "a", fmt.Sprint(i), fmt.Sprint(n)), nil, 0o600))
		}
	}
	do(t, os.MkdirAll(filepath.Join(dir, "b"), 0o755))
	ctx, stop := context.WithCancel(t.Context())
	var err error
	var moving sync.WaitGroup
	defer moving.Wait()
	defer stop()
	moving.Go(func() {
		for from, to := "a", "b"; ctx.Err() == nil; from, to = to, from {
			for i := range dirs {
				_ = os.Rename(filepath.Join(dir, from, fmt.Sprint(i)), filepath.Join(dir, to, fmt.Sprint(i)))
			}
		}
	})
	for range 10_000 {
		h.(*home).usage.until = time.Time{}
		if _, err = h.Used(t.Context()); err != nil {
			break
		}
	}
	if !errors.Is(err, cloud.ErrRestless) || cloud.KindOf(err) != cloud.Conflict {
		t.Errorf("got %v", err)
	}
	stop()
	moving.Wait()
	if _, err := h.Used(t.Context()); err != nil {
		t.Errorf("at rest: %v", err)
	}
}
