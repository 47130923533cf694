package store_test

import (
	"io"
	"testing"

	"plil.net/nuage/cloud"
	"plil.net/nuage/store"
	"plil.net/nuage/store/storetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) cloud.Store { return store.NewMemory() })
}

func TestMemoryHasNoBackup(t *testing.T) {
	t.Parallel()
	err := store.NewMemory().Backup(t.Context(), io.Discard)
	if cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("backup: %v", err)
	}
}
