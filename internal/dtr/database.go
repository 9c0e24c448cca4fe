package dtr

import (
	"bytes"
	"context"
	"encoding/json"
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

// Database is the vulnerability database of the image scanner.
// An APIError with code CodeScanningNotEnabled says that scanning is off.
type Database struct{ client *Client }

// Database gives access to the vulnerability database.
func (c *Client) Database() Database { return Database{c} }

// Status is the state of the vulnerability database. While that is being updated DTR may refuse to tell it, as if the user
// were not allowed to ask: a user who may read the settings is, and the database then counts as busy.
func (d Database) Status(ctx context.Context) (s ScanStatus, err error) {
	err = d.client.get(ctx, "/api/v0/imagescan/status", &s)
	if api, ok := errors.AsType[*APIError](err); ok && api.Forbidden() {
		if _, otherwise := d.client.Settings(ctx); otherwise == nil {
			return ScanStatus{Busy: true}, nil
		}
	}
	return s, err
}

// Sync has DTR download the vulnerability database. It is a job that goes on after the answer.
// A lost answer is dealt with as by RunJob. An APIError has code CodeScanningNotEnabled or CodeScanningNotReady.
func (d Database) Sync(ctx context.Context) error {
	r := d.client.request(updatePath, url.Values{"online": {"true"}})
	r.Method, r.JSON = http.MethodPut, []byte{}
	_, err := d.update(ctx, func() error { return d.client.endpoint.Once(ctx, r, d.accepted) })
	return err
}

// Upload hands DTR the file of a vulnerability database, of which no more than a buffer is held in memory.
// The size is in bytes. How long the upload may take, ctx says. Errors: those of Sync, and a *FileError.
// When the answer is lost and a job has begun, the error is a *LostJobError: the job may be that of another database.
func (d Database) Upload(ctx context.Context, name string, file io.ReadSeeker, size int64) error {
	r := d.client.request(updatePath, url.Values{"online": {"false"}})
	r.Method = http.MethodPut
	source := &source{ReadSeeker: file}
	found, err := d.update(ctx, func() error {
		if _, err := source.Seek(0, io.SeekStart); err != nil {
			return &FileError{Err: err}
		}
		upload, err := form(name, source, size)
		if err != nil {
			return err
		}
		err = d.client.endpoint.Send(ctx, r, upload, d.accepted)
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
func (d Database) update(ctx context.Context, send func() error) (Job, error) {
	return d.client.begin(ctx, DatabaseActions, anyway, func() (Job, error) { return Job{}, send() })
}

func (d Database) accepted(a *endpoint.Answer) error {
	if err := d.client.check(a); err != nil {
		return err
	}
	if len(bytes.TrimSpace(a.Body)) > 0 && !json.Valid(a.Body) { // whoever wrote that, it was not DTR
		return d.client.endpoint.Unusable(a, errors.New("it is not JSON"))
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
