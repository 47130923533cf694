package caddy

// Cuts reports whether the Caddy was found to cut WebSockets at each change.
func (p *Publisher) Cuts() bool { return p.old }
