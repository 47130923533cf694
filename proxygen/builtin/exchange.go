package builtin

import (
	"bytes"
	"crypto/rand"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// requestID is the header that names a request to the visitor and to the container, as the access log does.
const requestID = "X-Request-Id"

// exchange is one request and its answer. It puts a deadline on each single read and write, so that a body
// may take as long as it likes but not stand still. In HTTP/2 it is taken away after each: there it would end the stream
// even while nobody reads or writes.
type exchange struct {
	http.ResponseWriter
	request *http.Request
	control *http.ResponseController
	limits  limits
	id      string    // of the request, in logs and headers
	site    string    // id of the site that was asked, "" for none
	upload  *upload   // nil if the request has no body
	status  int       // 0 until the answer has begun
	sent    int64     // bytes of the answer's body
	armed   time.Time // when the deadline for writes was last set
	encoded int64     // bytes of a body with a Content-Encoding of ours, whose length ServeContent does not tell
}

func newExchange(w http.ResponseWriter, r *http.Request, l limits) *exchange {
	x := &exchange{ResponseWriter: w, request: r, control: http.NewResponseController(w), limits: l, id: rand.Text()}
	x.Header().Set(requestID, x.id)
	if r.Body != nil && r.Body != http.NoBody {
		// Without it net/http reads the rest of an upload before it sends the first byte of the answer: a
		// container that refuses early would not be heard, and a dialogue over both bodies would stand still. (The
		// "close" of begin prevents it too, but that is not promised.)
		_ = x.control.EnableFullDuplex()
		x.upload = &upload{ReadCloser: r.Body, control: x.control, silence: l.silence, left: l.body, came: time.Now()}
		// net/http looks at the type of the body it made: change a copy.
		x.request = r.WithContext(r.Context())
		x.request.Body = x.upload
	}
	return x
}

// Unwrap lets http.ResponseController find what the connection can do.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader passes on no 1xx of the container but 101. A 100 net/http says itself, once the upload is read. Hints
// such as 103 would be written from a header that ReverseProxy goes on to change: when a visitor on HTTP/2 leaves in
// between, net/http reads that map while it is written to, which ends the process.
func (x *exchange) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	x.begin(status)
	if x.encoded > 0 && status == http.StatusOK {
		x.Header().Set("Content-Length", strconv.FormatInt(x.encoded, 10))
		x.Header().Del("Accept-Ranges")
	}
	x.ResponseWriter.WriteHeader(status) // which sends nothing yet
}

// begin notes that the answer begins. What is left of an upload then must not be taken for the next
// request: the connection ends with the answer. (In HTTP/2 the same header would end all its streams.)
func (x *exchange) begin(status int) {
	if x.status != 0 {
		return
	}
	x.status = status
	if x.upload != nil && !x.upload.ended.Load() && x.request.ProtoMajor == 1 {
		x.Header().Set("Connection", "close")
	}
}

func (x *exchange) Write(b []byte) (int, error) {
	x.begin(http.StatusOK)
	x.deadline()
	defer x.noDeadline()
	n, err := x.ResponseWriter.Write(b)
	x.sent += int64(n)
	return n, err
}

// FlushError is called by http.ResponseController.
func (x *exchange) FlushError() error {
	x.begin(http.StatusOK)
	x.deadline()
	defer x.noDeadline()
	return x.control.Flush()
}

// ReadFrom lets the kernel send files (sendfile), in parts that each have their own deadline.
func (x *exchange) ReadFrom(src io.Reader) (n int64, err error) {
	if body, ok := inMemory(src); ok { // net/http sends a short one together with the header
		return body.WriteTo(struct{ io.Writer }{x})
	}
	to, ok := x.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{x}, src)
	}
	x.begin(http.StatusOK)
	defer x.noDeadline()
	whole, ok := src.(*io.LimitedReader)
	if !ok {
		whole = &io.LimitedReader{R: src, N: math.MaxInt64}
	}
	for whole.N > 0 {
		part := min(whole.N, sendSize)
		x.deadline()
		sent, err := to.ReadFrom(&io.LimitedReader{R: whole.R, N: part})
		n, whole.N, x.sent = n+sent, whole.N-sent, x.sent+sent
		if err != nil || sent < part {
			return n, err
		}
	}
	return n, nil
}

// inMemory is what a copy is of, if it is of all the bytes that are left of a file from the cache.
func inMemory(src io.Reader) (*bytes.Reader, bool) {
	l, ok := src.(*io.LimitedReader)
	if !ok {
		return nil, false
	}
	body, ok := l.R.(*bytes.Reader)
	return body, ok && l.N >= int64(body.Len())
}

// deadline is for the write that follows. In HTTP/1 only writes feel it: there it may be a little old, and stays.
func (x *exchange) deadline() {
	now := time.Now()
	if x.request.ProtoMajor == 1 && now.Sub(x.armed) < x.limits.silence/16 {
		return
	}
	x.armed = now
	_ = x.control.SetWriteDeadline(now.Add(x.limits.silence))
}

func (x *exchange) noDeadline() {
	if x.request.ProtoMajor != 1 {
		_ = x.control.SetWriteDeadline(time.Time{})
	}
}

// finish bounds what net/http does after us: it sends what it still has, and reads what is left of the
// upload.
func (x *exchange) finish() {
	x.deadline()
	if x.upload != nil {
		x.upload.finish(x.limits.linger)
	}
}

// upload is the body of a request.
type upload struct {
	io.ReadCloser
	control *http.ResponseController
	silence time.Duration
	left    int64                 // bytes that it may still have
	ended   atomic.Bool           // read to its end
	failed  atomic.Pointer[error] // why it will not be

	touched  atomic.Bool // somebody has begun to read it
	came     time.Time
	moved    atomic.Int64 // when the last byte arrived, nanoseconds after came; 0 until one has
	finished atomic.Bool
	reading  sync.Mutex // held by a Read
}

func (u *upload) Read(b []byte) (int, error) {
	u.reading.Lock()
	defer u.reading.Unlock()
	u.touched.Store(true)
	_ = u.control.SetReadDeadline(time.Now().Add(u.silence))
	if u.finished.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := u.ReadCloser.Read(b)
	if u.left -= int64(n); u.left < 0 {
		n, err = 0, errTooLarge
	}
	_ = u.control.SetReadDeadline(time.Time{})
	u.moved.Store(int64(time.Since(u.came)))
	switch err {
	case nil:
	case io.EOF:
		u.ended.Store(true)
	default:
		u.failed.CompareAndSwap(nil, &err)
	}
	return n, err
}

// begun reports whether some of it was read, so that nobody else can have it from its start.
func (u *upload) begun() bool { return u != nil && u.touched.Load() }

// Close leaves alone what was not begun: the request may be sent again. net/http closes it in the end.
func (u *upload) Close() error {
	if !u.begun() {
		return nil
	}
	return u.ReadCloser.Close()
}

// finish ends a Read that the container's side may still be in, as net/http would, but that takes all
// deadlines away with it. Then it gives the rest of the upload its time.
func (u *upload) finish(linger time.Duration) {
	if u.ended.Load() {
		return
	}
	u.finished.Store(true)
	_ = u.control.SetReadDeadline(time.Unix(1, 0))
	u.reading.Lock()
	defer u.reading.Unlock()
	_ = u.control.SetReadDeadline(time.Now().Add(linger))
}

// movedWithin reports whether a byte arrived in the last while; there is none without a body.
func (u *upload) movedWithin(d time.Duration) bool {
	if u == nil || u.moved.Load() == 0 {
		return false
	}
	return time.Since(u.came)-time.Duration(u.moved.Load()) < d
}

// failure says why the client's body broke off; nil if it did not.
func (u *upload) failure() error {
	if u == nil || u.failed.Load() == nil {
		return nil
	}
	return *u.failed.Load()
}
