package ucp

import (
	"fmt"
	"slices"

	"github.com/pelletier/go-toml/v2/unstable"
)

// requireContentTrust is the setting that says whether images must be signed.
var requireContentTrust = []string{"trust_configuration", "require_content_trust"}

// contentTrust reads that setting from UCP's configuration file. The library's parser is used alone: its decoder would add a fifth of a megabyte to the
// provider.
func contentTrust(config []byte) (required bool, err error) {
	var parser unstable.Parser
	parser.Reset(config)
	var table []string
	for parser.NextExpression() {
		switch e := parser.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = keyOf(e)
		case unstable.KeyValue:
			value := find(e, table)
			if value == nil {
				continue
			}
			if value.Kind != unstable.Bool {
				return false, fmt.Errorf("require_content_trust is of kind %s, not a boolean", value.Kind)
			}
			required = string(value.Data) == "true"
		}
	}
	return required, parser.Error()
}

// find returns the value of the setting that is looked for, if this is it or has it in an inline table.
func find(setting *unstable.Node, table []string) *unstable.Node {
	key, value := slices.Concat(table, keyOf(setting)), setting.Value()
	if slices.Equal(key, requireContentTrust) {
		return value
	}
	if value.Kind == unstable.InlineTable {
		for inner := value.Children(); inner.Next(); {
			if found := find(inner.Node(), key); found != nil {
				return found
			}
		}
	}
	return nil
}

// keyOf is the key of a setting or a table.
func keyOf(e *unstable.Node) (key []string) {
	for parts := e.Key(); parts.Next(); {
		key = append(key, string(parts.Node().Data))
	}
	return key
}
