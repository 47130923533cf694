package store_test

import (
	"path/filepath"
	"testing"

	"plil.net/nuage/cloud"
	"plil.net/nuage/store"
	"plil.net/nuage/store/storetest"
)

func TestBolt(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) cloud.Store { return open(t, filepath.Join(t.TempDir(), "nuage.db")) })
}

func open(t *testing.T, path string) *store.Bolt {
	t.Helper()
	b, err := store.Open(path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}
