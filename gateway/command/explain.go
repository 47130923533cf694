package command

// explanation is a command of the table as JSON.
type explanation struct {
	Command  string            `json:"command"`
	Usage    string            `json:"usage"`
	For      string            `json:"for"`
	Short    string            `json:"short"`
	Long     string            `json:"long"`
	Flags    map[string]string `json:"flags"`
	Settings map[string]string `json:"settings,omitempty"`
	Examples []string          `json:"examples"`
}

func (c *command) explained(admin bool) explanation {
	e := explanation{c.name(), c.usage(admin), c.who.String(), c.short, c.long, map[string]string{}, map[string]string{}, c.examples}
	for _, s := range c.settings {
		e.Settings[s[0]] = s[1]
	}
	for _, f := range c.flags {
		if admin || !f.admins {
			e.Flags["--"+f.long] = f.help
		}
	}
	return e
}

func (t table) explained(admin bool, pick func(*command) bool) []explanation {
	list := []explanation{}
	for i := range t {
		if c := &t[i]; pick(c) && (admin || c.who != admins) {
			list = append(list, c.explained(admin))
		}
	}
	return list
}
