package cloud

import (
	"bytes"
	_ "embed"
	"html/template"
)

//go:embed welcome.html
var welcomeHTML string

var welcomePage = template.Must(template.New("welcome").Parse(welcomeHTML))

// welcome is the page of a new site: it tells its owner the exact line that replaces it.
func (c *Cloud) welcome(s Site) []byte {
	var b bytes.Buffer
	err := welcomePage.Execute(&b, map[string]any{
		"Name":   s.Name,
		"PHP":    s.Type == PHP,
		"Upload": c.Door.Upload("./build/*", s.Name, s.Root),
		"Shell":  c.Door.Shell(s.Name),
	})
	if err != nil {
		c.Log.Error("welcome page", "err", err) // a template of ours, on strings of ours
	}
	return b.Bytes()
}
