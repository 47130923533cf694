package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/big"
	"net"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
)

// Message numbers, RFC 4250 section 4.1.2.
const (
	msgIgnore         = 2
	msgServiceRequest = 5
	msgKexInit        = 20
	msgNewKeys        = 21
	msgECDHInit       = 30
	msgAuthRequest    = 50
	msgAuthFailure    = 51
	msgAuthSuccess    = 52
	msgAuthBanner     = 53
	msgKeyOK          = 60
	msgInfoRequest    = 60 // of keyboard-interactive, RFC 4256 section 5
	msgInfoResponse   = 61
	msgGlobalRequest  = 80
	msgChannelOpen    = 90
	msgOpenConfirm    = 91
	msgChannelData    = 94
	msgChannelClose   = 97
	msgChannelRequest = 98
)

// wire is an SSH client that sends whatever a test wants, in any order: no library lets one do that.
type wire struct {
	net.Conn
	in       *bufio.Reader
	session  []byte // id
	inKeys   keys
	outKeys  keys
	banners  string
	greeting string
}

// keys are those of one direction; zero before the first key exchange.
type keys struct {
	stream   cipher.Stream
	mac      hash.Hash
	sequence uint32
}

// dialWire does the key exchange, without looking at the host key.
func dialWire(address string) (*wire, error) {
	raw, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	_ = raw.SetDeadline(time.Now().Add(patience))
	c := &wire{Conn: raw, in: bufio.NewReader(raw)}
	if err := c.exchange(); err != nil {
		raw.Close()
		return nil, err
	}
	return c, nil
}

func (c *wire) exchange() error {
	const own = "SSH-2.0-hostile"
	if _, err := io.WriteString(c, own+"\r\n"); err != nil {
		return err
	}
	line, err := c.in.ReadString('\n')
	if err != nil {
		return err
	}
	c.greeting = string(bytes.TrimRight([]byte(line), "\r\n"))
	ownInit := append([]byte{msgKexInit}, make([]byte, 16)...)
	for _, list := range []string{
		"curve25519-sha256", "ssh-ed25519", "aes128-ctr", "aes128-ctr", "hmac-sha2-256", "hmac-sha2-256", "none", "none", "", "",
	} {
		ownInit = append(ownInit, str(list)...)
	}
	ownInit = append(ownInit, 0, 0, 0, 0, 0)
	if err := c.send(ownInit); err != nil {
		return err
	}
	theirInit, err := c.receive()
	if err != nil {
		return err
	}
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	public := private.PublicKey().Bytes()
	if err := c.send(append([]byte{msgECDHInit}, str(string(public))...)); err != nil {
		return err
	}
	reply, err := c.receive()
	if err != nil {
		return err
	}
	var m struct{ HostKey, Public, Signature []byte }
	if err := ssh.Unmarshal(reply[1:], &m); err != nil {
		return err
	}
	theirs, err := ecdh.X25519().NewPublicKey(m.Public)
	if err != nil {
		return err
	}
	secret, err := private.ECDH(theirs)
	if err != nil {
		return err
	}
	k := ssh.Marshal(struct{ K *big.Int }{new(big.Int).SetBytes(secret)})
	h := sha256.New()
	for _, part := range []string{
		own, c.greeting, string(ownInit), string(theirInit), string(m.HostKey), string(public), string(m.Public),
	} {
		h.Write(str(part))
	}
	h.Write(k)
	c.session = h.Sum(nil)
	if err := c.send([]byte{msgNewKeys}); err != nil {
		return err
	}
	if p, err := c.receive(); err != nil || p[0] != msgNewKeys {
		return fmt.Errorf("no new keys: %v %v", p, err)
	}
	c.outKeys.set(k, c.session, "ACE")
	c.inKeys.set(k, c.session, "BDF")
	return nil
}

// set derives keys, RFC 4253 section 7.2.
func (k *keys) set(secret, session []byte, letters string) {
	derive := func(letter byte) []byte {
		h := sha256.New()
		h.Write(secret)
		h.Write(session)
		h.Write([]byte{letter})
		h.Write(session)
		return h.Sum(nil)
	}
	block, err := aes.NewCipher(derive(letters[1])[:16])
	if err != nil {
		panic(err)
	}
	k.stream = cipher.NewCTR(block, derive(letters[0])[:16])
	k.mac = hmac.New(sha256.New, derive(letters[2]))
}

func (k *keys) sum(packet []byte) []byte {
	k.mac.Reset()
	_ = binary.Write(k.mac, binary.BigEndian, k.sequence)
	k.mac.Write(packet)
	return k.mac.Sum(nil)
}

func str(s string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...)
}

func (c *wire) send(payload []byte) error {
	const block = 16
	padding := block - (5+len(payload))%block
	if padding < 4 {
		padding += block
	}
	packet := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding))
	packet = append(append(append(packet, byte(padding)), payload...), make([]byte, padding)...)
	if c.outKeys.stream != nil {
		sum := c.outKeys.sum(packet)
		c.outKeys.stream.XORKeyStream(packet, packet)
		packet = append(packet, sum...)
	}
	c.outKeys.sequence++
	_, err := c.Write(packet)
	return err
}

func (c *wire) receive() ([]byte, error) {
	for {
		p, err := c.receiveAny()
		if err != nil || p[0] != msgGlobalRequest || !bytes.Contains(p, []byte("hostkeys-00@openssh.com")) {
			return p, err
		}
	}
}

func (c *wire) receiveAny() ([]byte, error) {
	head := make([]byte, 16)
	if c.inKeys.stream == nil {
		head = head[:8]
	}
	if err := c.read(head); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint32(head))
	if length < 12 || length > 1<<20 {
		return nil, fmt.Errorf("packet of %d bytes", length)
	}
	rest := make([]byte, 4+length-len(head))
	if err := c.read(rest); err != nil {
		return nil, err
	}
	packet := append(head, rest...)
	if c.inKeys.stream != nil {
		sum := make([]byte, sha256.Size)
		if _, err := io.ReadFull(c.in, sum); err != nil {
			return nil, err
		}
		if !bytes.Equal(sum, c.inKeys.sum(packet)) {
			return nil, errors.New("bad MAC")
		}
	}
	c.inKeys.sequence++
	return packet[5 : 4+length-int(packet[4])], nil
}

func (c *wire) read(p []byte) error {
	_, err := io.ReadFull(c.in, p)
	if err == nil && c.inKeys.stream != nil {
		c.inKeys.stream.XORKeyStream(p, p)
	}
	return err
}

// next receives the next message that is no banner.
func (c *wire) next() ([]byte, error) {
	for {
		p, err := c.receive()
		if err != nil || p[0] != msgAuthBanner {
			return p, err
		}
		var m struct{ Text, Language string }
		if err := ssh.Unmarshal(p[1:], &m); err != nil {
			return nil, err
		}
		c.banners += m.Text
	}
}

// call sends a message and receives the answer.
func (c *wire) call(kind byte, m any) ([]byte, error) {
	if err := c.send(append([]byte{kind}, ssh.Marshal(m)...)); err != nil {
		return nil, err
	}
	return c.next()
}

func (c *wire) askAuth() error {
	_, err := c.call(msgServiceRequest, struct{ Name string }{"ssh-userauth"})
	return err
}

// authentication is a publickey request, RFC 4252 section 7.
type authentication struct {
	User, Service, Method string
	Signed                bool
	Algorithm             string
	Key                   []byte
	Rest                  []byte `ssh:"rest"`
}

// offer asks whether a key would do, and proves nothing.
func (c *wire) offer(user string, key ssh.PublicKey) (answer byte, err error) {
	p, err := c.call(msgAuthRequest, authentication{user, "ssh-connection", "publickey", false, key.Type(), key.Marshal(), nil})
	if err != nil {
		return 0, err
	}
	return p[0], nil
}

// sign logs in as the key claimed, with a signature by signer.
func (c *wire) sign(user string, claimed ssh.PublicKey, signer ssh.Signer) (answer byte, err error) {
	a := authentication{user, "ssh-connection", "publickey", true, claimed.Type(), claimed.Marshal(), nil}
	signed := append(str(string(c.session)), msgAuthRequest)
	sig, err := signer.Sign(rand.Reader, append(signed, ssh.Marshal(a)...))
	if err != nil {
		return 0, err
	}
	a.Rest = str(string(ssh.Marshal(sig)))
	p, err := c.call(msgAuthRequest, a)
	if err != nil {
		return 0, err
	}
	return p[0], nil
}

// run runs a command on a new channel and returns what it prints on stdout.
func (c *wire) run(line string) (string, error) {
	open := struct {
		Kind                    string
		Channel, Window, Packet uint32
	}{"session", 0, 1 << 20, 1 << 15}
	p, err := c.call(msgChannelOpen, open)
	if err != nil || p[0] != msgOpenConfirm {
		return "", fmt.Errorf("open: %v %v", p, err)
	}
	channel := binary.BigEndian.Uint32(p[5:])
	request := struct {
		Channel uint32
		Kind    string
		Reply   bool
		Line    string
	}{channel, "exec", false, line}
	if err := c.send(append([]byte{msgChannelRequest}, ssh.Marshal(request)...)); err != nil {
		return "", err
	}
	out := ""
	for {
		p, err := c.next()
		switch {
		case err != nil:
			return out, err
		case p[0] == msgChannelData:
			out += string(p[9:])
		case p[0] == msgChannelClose:
			return out, nil
		}
	}
}

// gone reports whether the other side has closed the connection.
func (c *wire) gone() bool {
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, err := c.in.ReadByte()
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// interactive asks for keyboard-interactive, RFC 4256 section 3.1.
func (c *wire) interactive(user string) (answer byte, err error) {
	p, err := c.call(msgAuthRequest, struct{ User, Service, Method, Language, Submethods string }{user, "ssh-connection", "keyboard-interactive", "", ""})
	if err != nil {
		return 0, err
	}
	return p[0], nil
}

// none asks to be let in without anything.
func (c *wire) none(user string) (answer byte, err error) {
	p, err := c.call(msgAuthRequest, struct{ User, Service, Method string }{user, "ssh-connection", "none"})
	if err != nil {
		return 0, err
	}
	return p[0], nil
}

// sendAnswer answers the one question that was asked.
func (c *wire) sendAnswer(text string) error {
	return c.send(append([]byte{msgInfoResponse}, ssh.Marshal(struct {
		Number uint32
		Text   string
	}{1, text})...))
}

func (c *wire) answer(text string) (answer byte, err error) {
	if err := c.sendAnswer(text); err != nil {
		return 0, err
	}
	p, err := c.next()
	if err != nil {
		return 0, err
	}
	return p[0], nil
}
