package cloud

import (
	"testing"
	"time"
)

func TestSizes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int64{
		"128MiB": 128 << 20, "1GiB": 1 << 30, "1.5 GiB": 3 << 29, "2G": 2 << 30, "10MB": 10e6, "512B": 512, "0B": 0, "4KiB": 4096,
	} {
		if got, err := ParseSize(in); got != want || err != nil {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "128", "MiB", "-1MiB", "NaNMiB", "1e30TiB", "1 2MiB", "1XiB", "InfB"} {
		if n, err := ParseSize(in); KindOf(err) != Invalid {
			t.Errorf("ParseSize(%q) = %d, %v; want invalid", in, n, err)
		}
	}
	for n, want := range map[int64]string{0: "0B", 1023: "1023B", 1024: "1KiB", 3 << 29: "1.5GiB", 128 << 20: "128MiB", 5 << 40: "5TiB"} {
		if got := FormatSize(n); got != want {
			t.Errorf("FormatSize(%d) = %q; want %q", n, got, want)
		}
	}
}

func TestIdle(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{"never": 0, "30m": 30 * time.Minute, "2h": 2 * time.Hour, "90s": 90 * time.Second} {
		got, err := ParseIdle(in)
		if got != want || err != nil {
			t.Errorf("ParseIdle(%q) = %v, %v", in, got, err)
		}
		if again, err := ParseIdle(FormatIdle(got)); again != got || err != nil {
			t.Errorf("FormatIdle(%v) = %q, which reads as %v, %v", got, FormatIdle(got), again, err)
		}
	}
	if s := FormatIdle(30 * time.Minute); s != "30m" {
		t.Errorf("FormatIdle(30m) = %q", s)
	}
	if s := FormatIdle(2 * time.Hour); s != "2h" {
		t.Errorf("FormatIdle(2h) = %q", s)
	}
	for _, in := range []string{"", "0", "-1h", "1", "soon", "1ms"} {
		if _, err := ParseIdle(in); KindOf(err) != Invalid {
			t.Errorf("ParseIdle(%q): %v; want invalid", in, err)
		}
	}
}
