package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Overlay decodes data over the value that v points to: a field that data does not name keeps the value that it has. It is for what is kept for
// longer than a version of the program lives, and was written by an earlier one.
//
// Everything else is refused as by Unmarshal: what data names it must say in the one encoding of its value, and it may name no field that v has not.
// After an error v holds a part of data, which is its caller's to wipe. Nothing else of it is left in memory.
func Overlay(data []byte, v any) error {
	if len(data) > MaxBytes {
		return fmt.Errorf("decode %T: %d bytes, at most %d allowed", v, len(data), MaxBytes)
	}
	if err := mode.dec.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decode %T: %q", v, err.Error())
	}
	whole, err := MarshalSecret(v, MaxBytes)
	if err != nil {
		return err
	}
	defer clear(whole)
	if rest, _, ok := within(data, whole); !ok || len(rest) != 0 {
		return fmt.Errorf("decode %T: %w", v, errNotCanonical)
	}
	return nil
}

// The major types of items that hold others (RFC 8949 section 3.1), in the three highest bits of an item's first byte; of the others, strings alone are
// longer than their head.
const (
	majorType = 7 << 5
	byteText  = 2 << 5
	utf8Text  = 3 << 5
	array     = 4 << 5
	pairs     = 5 << 5
)

// within reports whether the first item of part is that of whole, but for fields that its maps leave out, and returns what follows either. Both are
// well-formed and of known lengths, and whole is deterministic: so part is, too.
func within(part, whole []byte) (partRest, wholeRest []byte, ok bool) {
	kind, n, rest := head(whole)
	if kind == pairs {
		return fields(part, rest, n)
	}
	if kind == byteText || kind == utf8Text {
		rest = rest[n:]
	}
	if part, ok = bytes.CutPrefix(part, whole[:len(whole)-len(rest)]); !ok || kind != array {
		return part, rest, ok
	}
	for range n {
		if part, rest, ok = within(part, rest); !ok {
			return nil, nil, false
		}
	}
	return part, rest, true
}

// fields is within of a map that begins in part; the n pairs of the other one are what whole begins with.
func fields(part, whole []byte, n uint64) (partRest, wholeRest []byte, ok bool) {
	kind, few, rest := head(part)
	if least, err := Marshal(few); err != nil || kind != pairs || len(part)-len(rest) != len(least) { // an integer of that size has a head as long
		return nil, nil, false
	}
	for range n {
		_, value, _ := within(whole, whole)
		if named, found := bytes.CutPrefix(rest, whole[:len(whole)-len(value)]); found && few > 0 {
			if rest, whole, ok = within(named, value); !ok {
				return nil, nil, false
			}
			few--
		} else {
			_, whole, _ = within(value, value)
		}
	}
	return rest, whole, few == 0 // keys of either stand in one order
}

// head is the major type of a well-formed item, the number that it begins with, and what follows that.
func head(item []byte) (kind byte, n uint64, rest []byte) {
	kind, n, rest = item[0]&majorType, uint64(item[0]&^majorType), item[1:]
	if n < 24 {
		return kind, n, rest
	}
	var number [8]byte
	size := 1 << (n - 24)
	copy(number[8-size:], rest)
	return kind, binary.BigEndian.Uint64(number[:]), rest[size:]
}

// MarshalSecret is Marshal for what its caller clears after use: the library keeps no copy. room is more than the encoding needs, in bytes; one that
// needs more is an error.
func MarshalSecret(v any, room int) ([]byte, error) {
	into := bytes.NewBuffer(make([]byte, 0, room))
	err := mode.enc.MarshalToBuffer(v, into)
	if err == nil && into.Len() > room {
		err = fmt.Errorf("%d bytes, at most %d allowed", into.Len(), room)
	}
	if err != nil {
		clear(into.Bytes())
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return into.Bytes(), nil
}
