package command

import (
	"strings"
	"testing"
)

// TestSettings: what help tells of is there, and what is there help tells of.
func TestSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "alice", "site create blog")
	for line, told := range map[string][][2]string{"site set blog ": siteSettings, "account set alice ": accountSettings} {
		keys := map[string]bool{}
		for _, s := range told {
			key, _, _ := strings.Cut(s[0], "=")
			keys[key] = true
			if _, _, err := w.run(t, "root", line+key+"=", ""); strings.Contains(err, "there is no setting") {
				t.Errorf("help tells of %s: %s", key, err)
			}
		}
		_, _, err := w.run(t, "root", line+"nonsense=1", "")
		_, list, found := strings.Cut(err, "the settings are ")
		if !found {
			t.Fatalf("%snonsense=1: %s", line, err)
		}
		for _, s := range strings.Split(strings.TrimSpace(list), ", ") {
			if key, _, _ := strings.Cut(s, "="); !keys[key] {
				t.Errorf("help of %sdoes not tell of %s", line, s)
			}
		}
	}
}
