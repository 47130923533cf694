package logintest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Browse opens a link as a browser does, types the code if the page does not have it already, and logs in by a name;
// or, without allow, says no.
func (p *Provider) Browse(link, code, name string, allow bool) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(p.CA())
	here := func(ctx context.Context, network, _ string) (net.Conn, error) { // whatever it calls itself
		return new(net.Dialer).DialContext(ctx, network, p.server.Listener.Addr().String())
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DialContext: here}
	defer transport.CloseIdleConnections()
	browser := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	page, err := browser.Get(link)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(page.Body)
	page.Body.Close()
	if err != nil || !strings.Contains(string(text), "<form") {
		return fmt.Errorf("no form at %s: %q (%v)", link, text, err)
	}
	u, err := url.Parse(link)
	if err != nil {
		return err
	}
	form := url.Values{"user_code": {code}, "name": {name}, "action": {"deny"}}
	if typed := u.Query().Get("user_code"); typed != "" {
		form.Set("user_code", typed)
	}
	if allow {
		form.Set("action", "allow")
	}
	u.RawQuery = ""
	answer, err := browser.PostForm(u.String(), form)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("the login server says %s: %s", answer.Status, text)
	}
	return nil
}
