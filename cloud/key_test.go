package cloud

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func authorized(t *testing.T, pub crypto.PublicKey) string {
	t.Helper()
	k, err := ssh.NewPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k)))
}

func ed(t *testing.T) string {
	t.Helper()
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return authorized(t, pub)
}

func rsaKey(t *testing.T, bits int) string {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return authorized(t, &k.PublicKey)
}

// skKeys were printed by ssh-keygen for FIDO devices.
var skKeys = []string{
	"sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIFDykGGHc8fsbCkGGjdSaRWcEJj+R5Mw1Cuu6eFfM1xaAAAABHNzaDo= token",
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range append(skKeys, ed(t)+" me@laptop", authorized(t, &ec.PublicKey), rsaKey(t, 3072)+"\n", "\n "+ed(t)+" \r\n") {
		k, err := ParseKey(line)
		if err != nil {
			t.Errorf("ParseKey(%.40q…): %v", line, err)
			continue
		}
		pub, err := ssh.ParsePublicKey(k.Blob)
		if err != nil || ssh.FingerprintSHA256(pub) != k.Fingerprint || pub.Type() != k.Type {
			t.Errorf("ParseKey(%.40q…) = %+v: its blob says otherwise (%v)", line, k, err)
		}
	}
	k, _ := ParseKey(ed(t) + " me@\x1b[31mlaptop\u0085")
	if k.Label != "me@[31mlaptop" {
		t.Errorf("label %q keeps control characters", k.Label)
	}
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	one := ed(t)
	for text, says := range map[string]string{
		"":                                       "no key was given",
		"hello":                                  "not an SSH public key",
		"ssh-ed25519 AAAA":                       "not an SSH public key",
		one[:len(one)-8]:                         "not an SSH public key",
		one + "\n" + ed(t):                       "more than one line",
		"restrict " + one:                        "not supported",
		`command="id" ` + one:                    "not supported",
		rsaKey(t, 2048):                          "2048 bits",
		strings.Repeat("x", 17<<10):              "16384 bytes",
		"-----BEGIN OPENSSH PRIVATE KEY-----\nx": "private key",
	} {
		_, err := ParseKey(text)
		var e *Error
		if !errors.As(err, &e) || e.Kind != Invalid || !strings.Contains(e.Message, says) {
			t.Errorf("ParseKey(%.40q…): %v; want one that says %q", text, err, says)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEi1Yvt2JDDMZ1pUm2bFkQxGNTyyJx4tVz0Sh6P0n0Nz me")
	f.Add("-----BEGIN")
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := ParseKey(text); err != nil && KindOf(err) != Invalid || err == nil && (k.Fingerprint == "" || len(k.Blob) == 0) {
			t.Fatalf("ParseKey(%q) = %+v, %v", text, k, err)
		}
	})
}

func TestPickKey(t *testing.T) {
	t.Parallel()
	keys := []Key{{Fingerprint: "SHA256:abcd"}, {Fingerprint: "SHA256:abxy"}, {Fingerprint: "SHA256:q"}}
	for in, want := range map[string]string{"SHA256:abcd": "SHA256:abcd", "abx": "SHA256:abxy", "SHA256:q": "SHA256:q"} {
		if k, err := pickKey(keys, in); err != nil || k.Fingerprint != want {
			t.Errorf("pickKey(%q) = %v, %v; want %s", in, k.Fingerprint, err, want)
		}
	}
	for in, kind := range map[string]Kind{"ab": Invalid, "zz": NotFound, "": NotFound} {
		if _, err := pickKey(keys, in); KindOf(err) != kind {
			t.Errorf("pickKey(%q): %v; want %s", in, err, kind)
		}
	}
}
