// Package archive is a whole backup as one stream: the records and the homes of sites as a tar that any tar can
// list. It knows how such a stream is written, read and sealed. What is in the records is the store's affair, and
// names in homes are resolved by cloud.Home, so that no entry leads out of the home it is for.
//
//	nuage.db                     the snapshot of the store; not in the archive of one site
//	sites/<id>/home/site/…       files as they are; the first entry of a site says its name in NUAGE.site
//	nuage.end                    SHA-256 of all before it, in hexadecimal
package archive

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"path"
	"strings"

	"plil.net/nuage/cloud"
)

// Names of entries that are no file of a site.
const (
	storeEntry = "nuage.db"
	endEntry   = "nuage.end"
	sitesEntry = "sites/"
)

// PAX records of ours. Extents are "SIZE:OFFSET+LENGTH,…": a file with holes has only its data in the stream.
const (
	siteRecord    = "NUAGE.site"
	extentsRecord = "NUAGE.extents"
)

// seal sums what entries say and hold. A tar that was cut between two entries looks whole; without its end, or with
// another sum, it is not.
type seal struct{ hash.Hash }

func newSeal() seal { return seal{sha256.New()} }

func (s seal) header(h *tar.Header) {
	fmt.Fprintf(s, "%q %c %q %d %o %d %q %q\n", h.Name, h.Typeflag, h.Linkname, h.Size, h.Mode, h.ModTime.UnixNano(),
		h.PAXRecords[siteRecord], h.PAXRecords[extentsRecord])
}

func (s seal) String() string { return hex.EncodeToString(s.Sum(nil)) }

// entryName is the name in the archive of a name in a home.
func entryName(id, name string) string { return sitesEntry + id + name }

// parseEntry is the other way round. What is not at or below a home is refused.
func parseEntry(entry string) (id, name string, err error) {
	rest, ok := strings.CutPrefix(entry, sitesEntry)
	id, name, cut := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	name = "/" + name
	if !ok || !cut || path.Clean(name) != name || name != cloud.HomePath && !strings.HasPrefix(name, cloud.HomePath+"/") {
		return "", "", broken("entry %q is of no home", entry)
	}
	return id, name, nil
}

func broken(format string, args ...any) *cloud.Error {
	return cloud.Errorf(cloud.Invalid, "this is not a whole backup: %s", fmt.Sprintf(format, args...)).
		WithHint("nothing was changed; take another file, as made by: ssh … backup --all > FILE")
}
