// Package extract turns photographs into references.
//
//	hq (keys, names) ─photograph─► child: confine ─► decode ─► detect ─► measure ─► probe ─► reference ─► hq: bounds, norm
//
// Photographs come from strangers and their decoders are large, so they are parsed in a child process that has no key, no name, no network and no
// file that it could write. There is a child for each person: a photograph that takes over its child can spoil the references of that person alone.
// It can still make them those of anybody whose face the attacker has: an enrolment rests on the enroller, who saw the person.
//
// This package is the side of headquarters, pure Go; the child's is extract/worker.
package extract

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Word is the first argument of a program that is to be the child. It stands in no help text: nobody types it.
const Word = "extract-photographs"

// Bounds, checked at both ends.
const (
	// MaxPhoto is the largest file, bytes: a camera's of 50 million pixels has about 25 MB.
	MaxPhoto = 32 << 20
	// MaxPhotos is how many photographs of one person are taken: as many as an enrolment may hold references.
	MaxPhotos = 16
	maxAnswer = 8 << 10 // bytes; a reference has 2 KiB
)

// Outcome is what became of one photograph. The zero Outcome is none.
type Outcome uint8

// Append only.
const (
	Extracted    Outcome = 1
	NotAnImage   Outcome = 2
	Unreadable   Outcome = 3
	TooLarge     Outcome = 4
	NoFace       Outcome = 5
	SeveralFaces Outcome = 6
	TooSmall     Outcome = 7
	TooDark      Outcome = 8
	TooBright    Outcome = 9
	Blurred      Outcome = 10
	TurnedAway   Outcome = 11
	CutOff       Outcome = 12
	Failed       Outcome = 13 // the child died, hung or answered nonsense
)

var sentences = [...]string{
	"nothing was tried",
	"the photograph is good",
	"the file is not a JPEG or PNG photograph",
	"the photograph is damaged: its file is cut off or broken",
	"the photograph is too large: at most 32 MiB, 50 million pixels",
	"there is no face in the photograph that could be measured",
	"there are several faces in the photograph: cut it so that it shows one person",
	"the face is too small: the eyes must be at least 40 pixels apart",
	"the face is too dark",
	"the face is too bright: large parts of it are white",
	"the face is blurred",
	"the face is turned away: take one that looks into the camera",
	"the face is cut off by the edge of the photograph",
	"the photograph could not be worked on: the process that parses it died or did not answer in time",
}

// String is the outcome as a sentence for whoever took the photograph.
func (o Outcome) String() string {
	if int(o) < len(sentences) {
		return sentences[o]
	}
	return fmt.Sprintf("outcome %d", uint8(o))
}

// Result is what came of one photograph. Reference has 512 components and norm 1 if the outcome is Extracted, else it is nil.
type Result struct {
	Outcome   Outcome
	Reference []float32
	Quality   float32 // 0..1, as the pipeline weighs it
	Why       error   // of Failed: what went wrong, for whoever runs headquarters
}

// Hello is the first thing that a child says: it is confined, and these are its models.
type Hello struct {
	Bundle [32]byte `cbor:"1,keyasint"`
	Denied uint32   `cbor:"2,keyasint"` // forbidden acts that it tried and that failed as they must
}

// Answer is what the child says of one photograph.
type Answer struct {
	Outcome   Outcome `cbor:"1,keyasint"`
	Reference []byte  `cbor:"2,keyasint"` // float32, little-endian
	Quality   float32 `cbor:"3,keyasint"`
}

// WriteFrame writes one message: its length in four bytes, big-endian, and itself.
func WriteFrame(w io.Writer, data []byte) error {
	_, err := w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(data))))
	if err == nil {
		_, err = w.Write(data)
	}
	return err
}

// ErrFlood means that a message claims to be larger than it may be.
var ErrFlood = errors.New("message is too large")

// ReadFrame reads what WriteFrame wrote, at most so many bytes; io.EOF where the other end has closed between two messages.
func ReadFrame(r io.Reader, most int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > uint32(most) {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrFlood, n, most)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, fmt.Errorf("message is cut off: %w", err)
	}
	return data, nil
}
