package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"plil.net/nuage/cloud"
)

// keysOf are all keys of the config, as "ssh.listen"; NAME stands for the name of a group.
func keysOf(t reflect.Type, prefix string) (keys []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			keys = append(keys, keysOf(t.Field(i).Type, strings.TrimPrefix(prefix+"."+t.Field(i).Tag.Get("toml"), "."))...)
		}
		return keys
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct:
		return keysOf(t.Elem(), prefix+".NAME")
	}
	return []string{prefix}
}

// at finds a key in what was read without knowing the config.
func at(all map[string]any, key string) (value any, found bool) {
	section, rest, nested := strings.Cut(key, ".")
	value, found = all[section]
	if !nested || !found {
		return value, found
	}
	inner, _ := value.(map[string]any)
	return at(inner, rest)
}

// usual are the defaults by their keys, as the config file would have them.
func usual(t *testing.T) map[string]any {
	t.Helper()
	c := defaults()
	l := groupDefaults
	c.OIDC = &oidcConfig{Scopes: []string{"profile"}, AccountClaim: "preferred_username", KeyMaxAge: "never"} // login's own
	internet := true
	c.Groups = map[string]groupConfig{"NAME": {MaxSites: &l.MaxSites, Memory: cloud.FormatSize(l.Memory), CPUs: &l.CPUs, Disk: cloud.FormatSize(l.Disk), Internet: &internet}}
	text, err := toml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := toml.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestSampleConfig: deploy/nuage.toml works as it is, and shows each key, with its default if there is a # before it.
func TestSampleConfig(t *testing.T) {
	t.Parallel()
	const sample = "../../deploy/nuage.toml"
	c, err := readConfig(sample)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.plan(slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`(?m)^#(\[|"?[a-z0-9_.*]+"? *=)`).ReplaceAll(text, []byte("$1"))
	whole := filepath.Join(t.TempDir(), "whole.toml")
	if err := os.WriteFile(whole, shown, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readConfig(whole); err != nil {
		t.Fatalf("with each # taken away: %v", err)
	}
	var all map[string]any
	if err := toml.Unmarshal(shown, &all); err != nil {
		t.Fatal(err)
	}
	live, defaults := map[string]any{}, usual(t)
	if err := toml.Unmarshal(text, &live); err != nil {
		t.Fatal(err)
	}
	examples := []string{"images", "oidc.issuer", "oidc.client_id", "oidc.group_claim", "oidc.groups"}
	for _, key := range keysOf(reflect.TypeFor[config](), "") {
		there := strings.Replace(key, "NAME", "students", 1)
		value, ok := at(all, there)
		if !ok {
			t.Errorf("%s does not show %s", sample, there)
			continue
		}
		if _, set := at(live, there); set || slices.Contains(examples, key) {
			continue
		}
		if want, _ := at(defaults, key); fmt.Sprint(value) != fmt.Sprint(want) {
			t.Errorf("%s shows %s = %v; its default is %v", sample, there, value, want)
		}
	}
}

// TestManualOfTheConfig: docs/config.md has a row for each key and for nothing else, with its default.
func TestManualOfTheConfig(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	head := regexp.MustCompile("^\\| key (?:in `\\[(.*?)\\]` )?\\|")
	row := regexp.MustCompile("^\\| `(.+?)` \\| (.+?) \\|")
	section, said, defaults := "", map[string]string{}, usual(t)
	for line := range strings.Lines(string(text)) {
		if m := head.FindStringSubmatch(line); m != nil {
			section = m[1]
		} else if m := row.FindStringSubmatch(line); m != nil {
			said[strings.TrimPrefix(section+"."+m[1], ".")] = m[2]
		}
	}
	keys := keysOf(reflect.TypeFor[config](), "")
	for _, key := range keys {
		is, ok := said[key]
		delete(said, key)
		value, _ := at(defaults, key)
		code := strings.Trim(is, "`")
		quoted := is == "`"+code+"`" && !strings.HasPrefix(code, "$") && !slices.Contains(keys, code)
		switch want := spelled(value); {
		case key == "images": // in the text
		case !ok:
			t.Errorf("docs/config.md has no row for %s", key)
		case quoted && code != want:
			t.Errorf("docs/config.md says that %s is %s by default; it is %s", key, code, want)
		case !quoted && want != `""` && want != "[]" && want != "<nil>" && key != "engine.robots":
			t.Errorf("docs/config.md says of the default of %s: %s; it is %s", key, is, want)
		}
	}
	for key := range said {
		t.Errorf("docs/config.md has a row for %s, which is no key", key)
	}
}

// spelled is a value as the manual has it: strings without quotes, unless they are empty.
func spelled(value any) string {
	switch v := value.(type) {
	case string:
		if v == "" {
			return `""`
		}
		return v
	case []any:
		var all []string
		for _, x := range v {
			all = append(all, fmt.Sprintf("%q", x))
		}
		return "[" + strings.Join(all, ", ") + "]"
	}
	return fmt.Sprint(value)
}
