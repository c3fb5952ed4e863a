package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/match"
)

// Template is one reference vector of a person. It prints as redacted with every verb and refuses to marshal: only this package
// writes it down, and only Copy gives its components away. The zero Template holds nothing.
type Template struct {
	components *cell
	turn       uint64 // the rotation it is under; 0 for a plain one
}

// cell is behind two pointers: fmt follows one of them where it must print a field without calling its methods.
type cell *[access.ProbeSize]float32

var errNotMarshalled = errors.New("marshal template: templates do not leave the vault")

// NewTemplate copies a vector of ProbeSize components and length 1.
func NewTemplate(components []float32) (Template, error) {
	if len(components) != access.ProbeSize {
		return Template{}, fmt.Errorf("make template: %d components, want %d", len(components), access.ProbeSize)
	}
	var squares float64
	for _, x := range components {
		squares += float64(x) * float64(x)
	}
	if !unit(squares) {
		return Template{}, errors.New("make template: it is not normalised")
	}
	c := cell(new([access.ProbeSize]float32))
	copy(c[:], components)
	return Template{components: &c}, nil
}

// unit says whether a sum of squares is that of a vector of length 1.
func unit(squares float64) bool {
	const slack = 1e-3 // float32 normalisation errs by 1e-6
	return squares > 1-slack && squares < 1+slack
}

// Copy writes the components into dst, which must have room for ProbeSize of them, and returns how many it wrote: 0 for the zero Template.
func (t Template) Copy(dst []float32) int {
	if t.components == nil {
		return 0
	}
	return copy(dst, (*t.components)[:])
}

// Wipe overwrites the components. All copies of t share them.
func (t Template) Wipe() {
	if t.components != nil {
		clear((*t.components)[:])
	}
}

const redacted = "template(redacted)"

// String is the same for every template.
func (t Template) String() string { return redacted }

// Format prints the same for every verb.
func (t Template) Format(s fmt.State, _ rune) { io.WriteString(s, redacted) }

// MarshalText refuses.
func (t Template) MarshalText() ([]byte, error) { return nil, errNotMarshalled }

// MarshalJSON refuses.
func (t Template) MarshalJSON() ([]byte, error) { return nil, errNotMarshalled }

// MarshalBinary refuses.
func (t Template) MarshalBinary() ([]byte, error) { return nil, errNotMarshalled }

// MarshalCBOR refuses.
func (t Template) MarshalCBOR() ([]byte, error) { return nil, errNotMarshalled }

// GobEncode refuses.
func (t Template) GobEncode() ([]byte, error) { return nil, errNotMarshalled }

const templateBytes = 4 * access.ProbeSize

func (t Template) encode() ([]byte, error) {
	if t.components == nil {
		return nil, errors.New("template is empty")
	}
	if t.turn != 0 {
		return nil, errors.New("template is of a sealed vault")
	}
	b := make([]byte, 0, templateBytes)
	for _, x := range (*t.components)[:] {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b, nil
}

// appendTurned writes the template as it is stored under q. One that is under q already stays as it is: Get and Put do not turn twice.
func (t Template) appendTurned(b []byte, q *rotation) ([]byte, error) {
	if t.components == nil {
		return nil, errors.New("template is empty")
	}
	stored := **t.components
	defer clear(stored[:])
	switch t.turn {
	case 0:
		q.apply(stored[:], (*t.components)[:])
	case q.turn:
	default:
		return nil, errors.New("template is of before the vault was re-keyed: read it again")
	}
	for _, x := range stored[:] { // ranging over the array itself would copy it, and leave the copy
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b, nil
}

// undo turns a template back in place: it is of length 1 again to the last bit or two, however often the vault is re-keyed.
func (t Template) undo(q *rotation) Template {
	turned := **t.components
	defer clear(turned[:])
	plain := (*t.components)[:]
	q.undo(plain, turned[:])
	match.Normalise(plain)
	t.turn = 0
	return t
}

func decodeTemplate(b []byte) (Template, error) {
	if len(b) != templateBytes {
		return Template{}, fmt.Errorf("template of %d bytes, want %d", len(b), templateBytes)
	}
	var components [access.ProbeSize]float32
	defer clear(components[:])
	for i := range components {
		components[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return NewTemplate(components[:])
}
