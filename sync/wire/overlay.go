package wire

import (
	"bytes"
	"fmt"
)

// Overlay decodes data over the value that v points to: a field that data does not name keeps the value that it has. It is for what is kept for
// longer than a version of the program lives, and was written by an earlier one.
//
// Everything else is refused as by Unmarshal: data must be the one encoding of what it says, and may name no field that v has not. After an error v
// holds a part of data.
func Overlay(data []byte, v any) error {
	if len(data) > MaxBytes {
		return fmt.Errorf("decode %T: %d bytes, at most %d allowed", v, len(data), MaxBytes)
	}
	var plain any
	if err := mode.dec.Unmarshal(data, &plain); err != nil {
		return fmt.Errorf("decode %T: %q", v, err.Error())
	}
	again := bytes.NewBuffer(make([]byte, 0, len(data))) // of our own, as in Unmarshal
	defer func() { clear(again.Bytes()) }()
	if err := mode.enc.MarshalToBuffer(plain, again); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	if !bytes.Equal(again.Bytes(), data) {
		return fmt.Errorf("decode %T: %w", v, errNotCanonical)
	}
	if err := mode.dec.Unmarshal(data, v); err != nil {
		return fmt.Errorf("decode %T: %q", v, err.Error())
	}
	return nil
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
