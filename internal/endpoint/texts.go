package endpoint

import (
	"encoding/json"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// maxEscapes bounds what the texts of an answer grow by.
const maxEscapes = 1 << 20

// scrubJSON makes each text of a valid JSON text, names of members included, one line that can be shown. All else stays as it is written.
func scrubJSON(text []byte) ([]byte, error) {
	var clean []byte // nil while nothing differs
	copied := 0
	for i := 0; i < len(text); i++ {
		if text[i] != '"' {
			continue
		}
		start := i
		strange := false
		for i++; text[i] != '"'; i++ {
			switch c := text[i]; {
			case c == '\\':
				i++
				strange = strange || text[i] != '"' && text[i] != '\\' && text[i] != '/' && text[i] != 't'
			case c >= 0x7f:
				strange = true
			}
		}
		if !strange {
			continue
		}
		var s string
		if json.Unmarshal(text[start:i+1], &s) != nil {
			continue
		}
		line, err := json.Marshal(scrub.Line(s))
		if err != nil {
			continue
		}
		if clean == nil {
			clean = make([]byte, 0, len(text)+maxEscapes)
		}
		clean = append(append(clean, text[copied:start]...), line...)
		copied = i + 1
		if len(clean)-copied > maxEscapes {
			return nil, errTooLarge
		}
	}
	if clean == nil {
		return text, nil
	}
	return append(clean, text[copied:]...), nil
}
