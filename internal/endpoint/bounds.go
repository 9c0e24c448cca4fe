package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxRefusal bounds what is read of an answer that is not a success: its beginning says why.
	maxRefusal = 256 << 10
	// maxOutcome bounds an answer to what changes something, which is a line or two.
	maxOutcome = 1 << 20
	// maxValues bounds the values of a JSON text, and maxElements those objects and lists that are elements of a list.
	// An empty object takes two bytes of an answer and some hundred in memory: the length alone bounds nothing. DTR's largest answer, the description
	// of its API, has fewer than ten thousand values.
	maxValues, maxElements = 200_000, 100_000
	// maxLibraryElements is maxElements for a client library, which keeps all of an answer. Several are asked for at a time.
	maxLibraryElements = 10_000
	// maxElement bounds one element of a list that is read as it comes, in bytes of its text; maxKept bounds what is kept of all of them, in bytes of memory.
	maxElement, maxKept = 1 << 20, 48 << 20
)

// checkJSON refuses what is not JSON, and what would take much more memory than its text.
func checkJSON(text []byte, maxElements int) error {
	values, elements := 1, 0
	var inList []bool
	inString := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		if inString {
			switch c {
			case '\\':
				i++
			case '"':
				inString = false
			}
			continue
		}
		switch c {
		case '"':
			inString = true
		case ',':
			values++
		case '{', '[':
			values++
			if n := len(inList); n > 0 && inList[n-1] {
				elements++
			}
			inList = append(inList, c == '[')
		case '}', ']':
			inList = inList[:max(len(inList)-1, 0)]
		}
		if values > maxValues || elements > maxElements {
			return fmt.Errorf("%w: it has more than %d values or more than %d entries", errTooLarge, maxValues, maxElements)
		}
	}
	if !json.Valid(text) {
		return json.Unmarshal(text, new(any)) // which says where
	}
	return nil
}

// Elements reads a JSON list element by element, however many there are; null is an empty list.
// The function each takes the text of one, which is valid only until it returns, and says about how many bytes of memory it keeps of it. It is for
// [Request.Stream].
func Elements(r io.Reader, each func(text []byte) (kept int, err error)) error {
	bounded := &io.LimitedReader{R: r, N: maxElement}
	dec := jsontext.NewDecoder(bounded, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) // as encoding/json does
	fail := func(err error) error {
		if bounded.N <= 0 {
			return fmt.Errorf("%w: one of its entries has more than %d bytes", errTooLarge, maxElement)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return io.ErrUnexpectedEOF
		}
		if bad, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
			return fmt.Errorf("%w, after %d bytes of it", bad.Err, bad.ByteOffset)
		}
		return err
	}
	begin, err := dec.ReadToken()
	if err != nil {
		return fail(err)
	}
	if begin.Kind() != jsontext.KindNull {
		if begin.Kind() != jsontext.KindBeginArray {
			return errors.New("it is no list")
		}
		kept := 0
		for bounded.N = maxElement; dec.PeekKind() != jsontext.KindEndArray; bounded.N = maxElement {
			text, err := dec.ReadValue()
			if err != nil {
				return fail(err)
			}
			more, err := each(text)
			if err != nil {
				return err
			}
			if kept += more; kept > maxKept {
				return fmt.Errorf("%w: more than %d MiB of it would have to be kept", errTooLarge, maxKept>>20)
			}
		}
		if _, err := dec.ReadToken(); err != nil { // the end of the list
			return fail(err)
		}
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after its end")
	}
	return nil
}

type streamKey struct{}

// WithStream returns a context for a call through [Endpoint.RoundTripper] whose answer is read as it comes, and has no end that could be told before.
// Whoever reads it bounds what it keeps.
func WithStream(ctx context.Context) context.Context {
	return context.WithValue(ctx, streamKey{}, true)
}

// bounded is the body of an answer that is read by somebody else.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		if n, err := b.ReadCloser.Read(make([]byte, 1)); n == 0 {
			return 0, err
		}
		return 0, errTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
