package command

import (
	"os"
	"testing"

	"plil.net/nuage/provision/fake"
)

func TestMain(m *testing.M) { os.Exit(fake.Alone(m)) }
