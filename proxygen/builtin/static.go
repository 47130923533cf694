package builtin

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"plil.net/nuage/cloud"
)

// programs are kinds of files that a container runs and that we would show: with the passwords in them.
var programs = []string{".php", ".phtml", ".phar", ".php3", ".php4", ".php5", ".php7", ".php8"}

// serveFiles answers for a static site, straight from its home. There are no listings, and what a name
// leads to outside the home does not exist: the home itself sees to that.
func (p *Proxy) serveFiles(x *exchange, route cloud.Route) {
	if m := x.request.Method; m != http.MethodGet && m != http.MethodHead {
		x.Header().Set("Allow", "GET, HEAD")
		p.show(x, page{Status: http.StatusMethodNotAllowed, Title: "Not possible here",
			Text: fmt.Sprintf("A static site only gives out files; it does not take %q.", m)})
		return
	}
	home, err := p.homes.take(route.SiteID)
	if err != nil {
		if !p.gone(x, route) {
			p.refuse(x, route, err)
		}
		return
	}
	defer home.giveBack()
	root := documents{home: home, root: route.Root, site: route.SiteID}
	name, directory := webPath(x.request.URL.Path)
	doc, err := p.find(root, name, directory)
	if err != nil {
		if !p.gone(x, route) {
			p.withoutFile(x, route, root, name, err)
		}
		return
	}
	defer doc.close()
	p.send(x, route, root, doc)
}

// gone answers for a site that was deleted since its route was looked up: what is left of its home may be anything.
func (p *Proxy) gone(x *exchange, route cloud.Route) bool {
	if now, ok := p.route(x.request.Host); ok && now.SiteID == route.SiteID {
		return false
	}
	p.show(x, p.unknown(x.request.Host))
	return true
}

// find looks a document up: in the cache, if the file is still what it was, else in the home.
func (p *Proxy) find(root documents, name string, directory bool) (*document, error) {
	full := name
	if directory {
		full = path.Join(name, indexPage)
	}
	key := place{root.site, root.root, full}
	if k := p.cache.get(key); k != nil {
		if same, by := root.home.holds(k.dir, k.base, k.mark); same {
			return &document{name: full, at: k.at, info: k.info, kind: k.kind, etag: k.etag, kept: k, by: by}, nil
		}
		p.cache.drop(key, k)
	}
	file, info, err := root.find(name, directory)
	if err != nil {
		return nil, err
	}
	doc := &document{name: full, at: root.at(full), info: info, kind: contentType(full, file), etag: etag(info, p.now()), file: file}
	if size := info.Size(); size <= keptSize || size <= keptText && isCompressible(doc.kind) {
		if doc.kept = doc.read(p.now()); doc.kept != nil {
			p.cache.put(key, doc.kept)
		}
	}
	return doc, nil
}

// send gives out a file: whole, in ranges, or as not modified.
func (p *Proxy) send(x *exchange, route cloud.Route, root documents, doc *document) {
	kind := strings.ToLower(path.Ext(doc.name))
	for _, program := range programs {
		if kind == program {
			p.show(x, p.noProgram(route))
			return
		}
	}
	h := x.Header()
	h.Set("Cache-Control", "no-cache") // ask each time: an upload shows at once, and else 304 is cheap
	if doc.kept != nil && x.asksNothing() {
		p.sendWhole(x, root, doc)
		return
	}
	h.Set("Content-Type", doc.kind)
	if isCompressible(doc.kind) {
		h.Set("Vary", "Accept-Encoding")
		// Parts of what is compressed would be of no use with parts of what is not.
		if x.request.Header.Get("Range") == "" && p.sendCompressed(x, root, doc) {
			return
		}
	}
	h.Set("ETag", doc.etag)
	http.ServeContent(x, x.request, "", doc.info.ModTime(), doc.content())
}

// asksNothing reports whether a request is for the whole of a file, whatever was seen of it before.
func (x *exchange) asksNothing() bool {
	for _, name := range [...]string{"Range", "If-Range", "If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		if x.request.Header[name] != nil {
			return false
		}
	}
	return true
}

// sendWhole is http.ServeContent of a file in memory for who asks nothing.
func (p *Proxy) sendWhole(x *exchange, root documents, doc *document) {
	told, body := doc.kept.told, doc.kept.body
	if told.vary != nil && x.request.Header["Accept-Encoding"] != nil {
		x.Header()["Content-Type"], x.Header()["Vary"] = told.kind, told.vary
		if p.sendBeside(x, root, doc) {
			return
		}
		if zipped := doc.zipped(x.request); zipped != nil {
			told, body = doc.kept.toldZipped, zipped
		}
	}
	told.set(x.Header())
	x.WriteHeader(http.StatusOK)
	if x.request.Method != http.MethodHead {
		_, _ = x.Write(body)
	}
}

// sendCompressed gives out the best that the client takes of what lies beside the file, compressed by its owner; else
// what we compressed. It reports false if there is neither.
func (p *Proxy) sendCompressed(x *exchange, root documents, doc *document) bool {
	if x.request.Header["Accept-Encoding"] == nil {
		return false
	}
	if p.sendBeside(x, root, doc) {
		return true
	}
	zipped := doc.zipped(x.request)
	if zipped == nil {
		return false
	}
	x.sendEncoded("gzip", zippedTag(doc.etag), doc.info.ModTime(), int64(len(zipped)), bytes.NewReader(zipped))
	return true
}

// sendBeside gives out what lies beside the file.
func (p *Proxy) sendBeside(x *exchange, root documents, doc *document) bool {
	if doc.by != nil && doc.kept.alone.Load() == doc.by {
		return false
	}
	none := 0
	for _, e := range encodings {
		if !accepts(x.request, e.name) {
			continue
		}
		beside, info, by, err := root.beside(doc, e.suffix)
		if err != nil {
			if by != nil && by == doc.by {
				none++
			}
			continue
		}
		defer beside.Close()
		x.sendEncoded(e.name, etag(info, p.now()), doc.info.ModTime(), info.Size(), beside)
		return true
	}
	if none == len(encodings) {
		doc.kept.alone.Store(doc.by)
	}
	return false
}

// zipped is what we compressed for who takes it; nil if there is nothing.
func (d *document) zipped(r *http.Request) []byte {
	if d.kept == nil || len(d.kept.body) < leastGzip || !accepts(r, "gzip") {
		return nil
	}
	return d.kept.gzip()
}

// sendEncoded is http.ServeContent for a coding of a file.
func (x *exchange) sendEncoded(coding, etag string, modified time.Time, size int64, content io.ReadSeeker) {
	x.Header().Set("Content-Encoding", coding)
	x.Header().Set("ETag", etag)
	x.encoded = size
	http.ServeContent(x, x.request, "", modified, content)
}

// withoutFile answers where find found nothing to give out.
func (p *Proxy) withoutFile(x *exchange, route cloud.Route, root documents, name string, err error) {
	switch {
	case errors.Is(err, errNoSlash):
		// One slash in front, and the rest escaped: it cannot lead to another host.
		to := url.URL{Path: "/" + name + "/", RawQuery: x.request.URL.RawQuery}
		x.Header().Set("Location", to.String())
		x.Header().Set("Cache-Control", "no-cache")
		x.WriteHeader(http.StatusMovedPermanently)
	case isMissing(err):
		p.missing(x, route, root)
	case errors.Is(err, fs.ErrPermission):
		p.show(x, page{Status: http.StatusForbidden, Title: "This file is closed",
			Text: "The site itself may not read this file.", Hint: "if it is yours, make it readable: chmod u+r, and u+x for its folders"})
	default:
		p.broken(x, route, err)
	}
}

// missing answers 404 with the site's own page, if it has one.
func (p *Proxy) missing(x *exchange, route cloud.Route, root documents) {
	file, info, err := root.find(missingPage, false)
	if err != nil {
		p.show(x, page{Status: http.StatusNotFound, Title: "No such page",
			Text: fmt.Sprintf("%q has no page at this address.", route.Site)})
		return
	}
	defer file.Close()
	x.Header().Set("Content-Type", contentType(missingPage, file))
	x.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	x.Header().Set("Cache-Control", "no-cache")
	x.WriteHeader(http.StatusNotFound)
	if x.request.Method == http.MethodGet {
		_, _ = io.CopyN(x, file, info.Size())
	}
}

func (p *Proxy) noProgram(route cloud.Route) page {
	return page{Status: http.StatusForbidden, Title: "PHP does not run here",
		Text: fmt.Sprintf("%q is a static site: its PHP is neither run nor shown.", route.Site),
		Hint: "if it is yours, let it run PHP", Command: p.command("site set " + route.Site + " type=php")}
}

// etag changes with the content: ctime cannot be set by the file's owner, as mtime is by scp -p and rsync
// -t. It is weak while the file is young.
func etag(info fs.FileInfo, now time.Time) string {
	s, _ := markOf(info)
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %d %d", info.Size(), info.ModTime().UnixNano(), s.changed, s.inode))
	tag := fmt.Sprintf(`"%x"`, sum[:12])
	if isYoung(info, now) {
		return "W/" + tag
	}
	return tag
}

// isYoung reports whether one more write to a file could leave its mark as it is: file systems tell times by the
// clock tick, some by the second or two.
func isYoung(info fs.FileInfo, now time.Time) bool {
	s, ok := markOf(info)
	return !ok || now.Sub(time.Unix(0, s.changed)).Abs() < youngFile // it may be of a clock that was ahead
}
