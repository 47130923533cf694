package provision

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"
)

// An engine gives an address to whoever asks for it while the site that has it does not run. So the container of a site has
// a MAC that no engine gives: these two bytes, where theirs have 02:42, and the address. Whatever else is at the address has
// another one, and the fence lets nothing through to it.
const macBegins = "02:6e"

func mac(a netip.Addr) network.HardwareAddr {
	b := a.As4()
	return network.HardwareAddr{0x02, 0x6e, b[0], b[1], b[2], b[3]}
}

// macAtEndpoint is the first version of the API in which a MAC belongs to one network of a container.
const macAtEndpoint = "1.44"

// createContainer makes a container with the MAC that it shall have. Engines of before macAtEndpoint read that at the top of the
// request, for which the client has no field.
func (d *Docker) createContainer(ctx context.Context, want client.ContainerCreateOptions) (id string, err error) {
	if want.NetworkingConfig == nil || d.api.ClientVersion() >= macAtEndpoint {
		made, err := d.api.ContainerCreate(ctx, want)
		return made.ID, err
	}
	old := struct {
		container.CreateRequest
		MacAddress string `json:",omitempty"`
	}{CreateRequest: container.CreateRequest{Config: want.Config, HostConfig: want.HostConfig, NetworkingConfig: want.NetworkingConfig}}
	for _, end := range want.NetworkingConfig.EndpointsConfig {
		old.MacAddress = end.MacAddress.String()
	}
	var made container.CreateResponse
	err = d.post(ctx, "/containers/create?name="+url.QueryEscape(want.Name), old, &made)
	return made.ID, err
}

// post asks the engine for something past the client.
func (d *Docker) post(ctx context.Context, path string, body, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://engine/v"+d.api.ClientVersion()+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	once := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return d.api.Dialer()(ctx) },
	}}
	resp, err := once.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 300 {
		return json.NewDecoder(resp.Body).Decode(into)
	}
	var said struct{ Message string }
	_ = json.NewDecoder(resp.Body).Decode(&said)
	if resp.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%w: %s", errdefs.ErrNotFound, said.Message)
	}
	return fmt.Errorf("%s: %s", resp.Status, said.Message)
}

// forgetNeighbour has this host ask anew who is at an address: for a minute it would go on sending to the MAC that was there
// before.
func forgetNeighbour(bridge string, a netip.Addr) error {
	link, err := net.InterfaceByName(bridge)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	to := a.As4()
	e := binary.NativeEndian
	m := e.AppendUint32(nil, unix.SizeofNlMsghdr+unix.SizeofNdMsg+unix.SizeofRtAttr+4) // rtnetlink(7)
	m = e.AppendUint16(m, unix.RTM_DELNEIGH)
	m = e.AppendUint16(m, unix.NLM_F_REQUEST)
	m = append(m, make([]byte, 8)...) // sequence and port: no answer is asked for
	m = append(m, unix.AF_INET, 0, 0, 0)
	m = e.AppendUint32(m, uint32(link.Index))
	m = append(m, make([]byte, 4)...) // state, flags, type
	m = e.AppendUint16(m, unix.SizeofRtAttr+4)
	m = e.AppendUint16(m, unix.NDA_DST)
	m = append(m, to[:]...)
	return unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}
