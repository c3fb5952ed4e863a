package policy

import (
	"fmt"
	"sort"

	"github.com/pelletier/go-toml/v2/unstable"
)

// lines says on which line a key stands: "doors.front.rules[1].schedule", counted from 0 as the parser counts.
type lines map[string]int

// of is the line of a key, or of the nearest one around it that stands in the document.
func (l lines) of(format string, args ...any) int {
	for key := fmt.Sprintf(format, args...); key != ""; {
		if n, ok := l[key]; ok {
			return n
		}
		cut := len(key) - 1
		for cut > 0 && key[cut] != '.' && key[cut] != '[' {
			cut--
		}
		key = key[:cut]
	}
	return 0
}

// maxKeys bounds what one document may name; the largest site that access takes needs fewer.
const maxKeys = 20000

// index finds the lines of all keys of a document that is known to be TOML. It refuses keys that are not written in small letters: the parser would take
// them for those that are.
func index(text []byte) (lines, []Finding) {
	x := indexer{found: lines{}, arrays: map[string]int{}, starts: []int{0}}
	for i, c := range text {
		if c == '\n' {
			x.starts = append(x.starts, i+1)
		}
	}
	var p unstable.Parser
	p.Reset(text)
	table := ""
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table:
			table = x.key("", e.Key())
		case unstable.ArrayTable:
			// The parser's rule: the name stands for a new element of the array, and for that one until the next.
			name := x.key("", e.Key())
			table = fmt.Sprintf("%s[%d]", name, x.arrays[name])
			x.arrays[name]++
			x.found[table] = x.found[name]
		case unstable.KeyValue:
			x.value(table, e)
		}
		if len(x.found) > maxKeys {
			x.findings = append(x.findings, wrong(0, "more than %d keys", maxKeys))
		}
		if x.findings != nil {
			return nil, x.findings
		}
	}
	if err := p.Error(); err != nil {
		return nil, []Finding{wrong(0, "%q", err.Error())}
	}
	return x.found, nil
}

type indexer struct {
	found    lines
	arrays   map[string]int // how many elements of each array of tables have begun
	starts   []int          // offsets at which lines start
	findings []Finding
}

// key notes all parts of a key below a table and returns the whole.
func (x *indexer) key(table string, parts unstable.Iterator) string {
	name := table
	for parts.Next() {
		n := parts.Node()
		line := sort.SearchInts(x.starts, int(n.Raw.Offset)+1)
		for _, c := range n.Data {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != ',' {
				x.findings = append(x.findings, wrong(line, "key %q: want small letters, digits and hyphens", n.Data))
				return name
			}
		}
		if name != "" {
			name += "."
		}
		name += string(n.Data)
		if _, ok := x.found[name]; !ok || parts.IsLast() {
			x.found[name] = line
		}
		if n := x.arrays[name]; n > 0 && !parts.IsLast() {
			name = fmt.Sprintf("%s[%d]", name, n-1)
		}
	}
	return name
}

func (x *indexer) value(table string, pair *unstable.Node) {
	name := x.key(table, pair.Key())
	v := pair.Value()
	children := v.Children()
	switch v.Kind {
	case unstable.InlineTable:
		for children.Next() {
			x.value(name, children.Node())
		}
	case unstable.Array: // of inline tables; of anything else the line of the key is near enough
		for i := 0; children.Next(); i++ {
			if children.Node().Kind != unstable.InlineTable {
				continue
			}
			element := fmt.Sprintf("%s[%d]", name, i)
			x.found[element] = x.found[name]
			fields := children.Node().Children()
			for fields.Next() {
				x.value(element, fields.Node())
			}
		}
	}
}
