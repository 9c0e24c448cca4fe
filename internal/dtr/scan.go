package dtr

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

// DatabaseActions are the names of the job that updates the vulnerability database, the current one first.
var DatabaseActions = []string{"update_vuln_db", "nautilus_update_db"}

const updatePath = "/api/v0/imagescan/scan/update"

// ScanStatus is the state of the vulnerability database.
// An APIError with code CodeScanningNotEnabled says that scanning is off.
func (c *Client) ScanStatus(ctx context.Context) (ScanStatus, error) {
	var s scanStatus
	if err := c.get(ctx, "/api/v0/imagescan/status", nil, &s); err != nil {
		return ScanStatus{}, err
	}
	return s.export(), nil
}

// SyncDatabase has DTR download the vulnerability database. It is a job that goes on after the answer.
// A lost answer is dealt with as by RunJob. An APIError has code CodeScanningNotEnabled or CodeScanningNotReady.
func (c *Client) SyncDatabase(ctx context.Context) error {
	r := c.request(updatePath, url.Values{"online": {"true"}})
	r.Method, r.JSON = http.MethodPut, []byte{}
	_, err := c.update(ctx, func() error { return c.endpoint.Once(ctx, r, c.accepted) })
	return err
}

// UploadDatabase hands DTR the file of a vulnerability database, of which no more than a buffer is held in memory.
// The size is in bytes. How long the upload may take, ctx says. Errors: those of SyncDatabase, and a *FileError.
// When the answer is lost and a job has begun, the error is a *LostJobError: the job may be that of another database.
func (c *Client) UploadDatabase(ctx context.Context, name string, file io.ReadSeeker, size int64) error {
	r := c.request(updatePath, url.Values{"online": {"false"}})
	r.Method = http.MethodPut
	source := &source{ReadSeeker: file}
	found, err := c.update(ctx, func() error {
		if _, err := source.Seek(0, io.SeekStart); err != nil {
			return &FileError{Err: err}
		}
		upload, err := form(name, source, size)
		if err != nil {
			return err
		}
		err = c.endpoint.Send(ctx, r, upload, c.accepted)
		if err != nil && source.err != nil {
			return &FileError{Err: source.err}
		}
		return err
	})
	if err == nil && found.ID != "" {
		return &LostJobError{Action: found.Action, Err: fmt.Errorf("the answer to the upload was lost, and job %s may be that of another database", found.ID)}
	}
	return err
}

// source keeps the error of a file, which a failed request does not tell from its own.
type source struct {
	io.ReadSeeker
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.ReadSeeker.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// update sends a request for an update. The job is zero unless the answer was lost and the job looked for.
func (c *Client) update(ctx context.Context, send func() error) (Job, error) {
	return c.begin(ctx, DatabaseActions, func() (Job, error) { return Job{}, send() })
}

func (c *Client) accepted(a *endpoint.Answer) error {
	if err := c.check(a); err != nil {
		return err
	}
	return nil
}

// form is a form with one file in it, whose length is known before the file is read.
func form(name string, file io.Reader, size int64) (endpoint.Upload, error) {
	var frame bytes.Buffer
	w := multipart.NewWriter(&frame)
	if _, err := w.CreateFormFile("file", name); err != nil {
		return endpoint.Upload{}, err
	}
	head := bytes.Clone(frame.Bytes())
	frame.Reset()
	if err := w.Close(); err != nil {
		return endpoint.Upload{}, err
	}
	return endpoint.Upload{
		Body:        io.MultiReader(bytes.NewReader(head), file, &frame),
		ContentType: w.FormDataContentType(),
		Length:      int64(len(head)) + size + int64(frame.Len()),
	}, nil
}
