package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"mime"
	"net/http"
)

// Upload is a database file that was uploaded whole.
type Upload struct {
	Name, SHA256 string
	Size         int64
	// Announced is the Content-Length of the request, -1 without one.
	Announced int64
}

var errNoDatabaseFile = &dtrError{http.StatusBadRequest, "INVALID_PARAMETERS", "no database file in the form"}

// receiveUpload reads the file of an upload; there is none in a JSON request.
func receiveUpload(r *http.Request) (*Upload, error) {
	switch media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media {
	case "application/json":
		return nil, nil
	case "multipart/form-data":
	default:
		return nil, errMediaType
	}
	form, err := r.MultipartReader()
	if err != nil {
		return nil, errNoDatabaseFile
	}
	var file *Upload
	for {
		part, err := form.NextPart()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return file, nil
			}
			return nil, errNoDatabaseFile
		}
		if part.FormName() != "file" || part.FileName() == "" {
			continue
		}
		sum := sha256.New()
		size, err := io.Copy(sum, part)
		if err != nil {
			return nil, errNoDatabaseFile
		}
		file = &Upload{Name: part.FileName(), Size: size, SHA256: hex.EncodeToString(sum.Sum(nil)), Announced: r.ContentLength}
	}
}
