package sftpfs

import (
	"fmt"
	"testing"

	"github.com/pkg/sftp"
)

func TestHandleLimit(t *testing.T) {
	t.Parallel()
	c := openSite(t, Options{})
	put(t, c, www+"/f", "x")
	var files []*sftp.File
	for range maxHandles {
		f, err := c.Open(www + "/f")
		do(t, err)
		files = append(files, f)
	}
	_, err := c.Open(www + "/f")
	wantStatus(t, err, failure, fmt.Sprintf("limit is %d", maxHandles))
	_, err = c.ReadDir(www)
	wantStatus(t, err, failure, fmt.Sprintf("limit is %d", maxHandles))
	do(t, files[0].Close())
	if s, err := get(c, www+"/f"); s != "x" || err != nil {
		t.Errorf("got %q, %v", s, err)
	}
}
