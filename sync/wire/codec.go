// Package wire is the one codec of Lintel: deterministic CBOR (RFC 8949 section 4.2.1) for every packet between processes,
// every audit record and every message to headquarters.
//
// One value has one encoding and one encoding has one value: what Unmarshal accepts, Marshal writes back byte for byte. So a hash
// or a signature over the bytes is a hash or a signature over the value, and nothing can hide between the two.
//
// The package is pure: no clock, no file, no socket.
package wire

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// Bounds of one message. They are checked before memory is given to what the message claims to hold.
const (
	MaxBytes    = 1 << 20 // a whole message; sockets and topics set smaller caps of their own
	MaxDepth    = 8       // arrays and maps inside each other; the deepest message of the house has 5
	MaxElements = 4096    // of one array; the longest is a probe of 512
	MaxPairs    = 256     // of one map; the largest struct has fewer than 32 fields
)

// Raw is one encoded value that is decoded later, by its own Unmarshal. Until then only its outer shape has been checked.
type Raw = cbor.RawMessage

// mode holds the library's two immutable configurations; it is never changed after it is built.
var mode = newCodec()

type codec struct {
	enc cbor.UserBufferEncMode
	dec cbor.DecMode
}

// newCodec panics on options that contradict each other: they are constants, so that the first test finds it.
func newCodec() codec {
	eo := cbor.CoreDetEncOptions()
	eo.NaNConvert = cbor.NaNConvertReject
	eo.InfConvert = cbor.InfConvertReject
	eo.BigIntConvert = cbor.BigIntConvertReject
	eo.NilContainers = cbor.NilContainerAsEmpty // nil and empty are the same value, so they must be the same bytes
	eo.OmitEmpty = cbor.OmitEmptyGoValue
	eo.TagsMd = cbor.TagsForbidden
	eo.ByteArray = cbor.ByteArrayToByteSlice // [32]byte is a byte string
	eo.BinaryMarshaler = cbor.BinaryMarshalerNone
	enc, err := eo.UserBufferEncMode()
	if err != nil {
		panic(err)
	}

	values, err := cbor.NewSimpleValueRegistryFromDefaults(rejectUnusedSimpleValues()...)
	if err != nil {
		panic(err)
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   MaxDepth,
		MaxArrayElements:  MaxElements,
		MaxMapPairs:       MaxPairs,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		BignumTag:         cbor.BignumTagForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8RejectInvalid,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		NaN:               cbor.NaNDecodeForbidden,
		Inf:               cbor.InfDecodeForbidden,
		BinaryUnmarshaler: cbor.BinaryUnmarshalerNone,
		SimpleValues:      values,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return codec{enc, dec}
}

// rejectUnusedSimpleValues leaves false, true and null; undefined and the unassigned values have no Go value that would encode
// back to them.
func rejectUnusedSimpleValues() []func(*cbor.SimpleValueRegistry) error {
	const reservedFirst, reservedLast, null = 24, 31, 22 // 24..31 cannot be encoded at all
	var opts []func(*cbor.SimpleValueRegistry) error
	for v := 0; v <= 255; v++ {
		if v == 20 || v == 21 || v == null || v >= reservedFirst && v <= reservedLast {
			continue
		}
		opts = append(opts, cbor.WithRejectedSimpleValue(cbor.SimpleValue(v)))
	}
	return opts
}

// Marshal encodes v. It refuses NaN, infinities, tags and what is larger than MaxBytes. Byte arrays and slices become byte
// strings, durations integers of nanoseconds, floats the shortest form that keeps their value exactly. Text must be UTF-8.
func Marshal(v any) ([]byte, error) {
	data, err := mode.enc.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("encode %T: %d bytes, at most %d allowed", v, len(data), MaxBytes)
	}
	return data, nil
}

// Unmarshal decodes data into the value that v points to, and leaves that value untouched unless the whole of data is the one
// encoding of the result. So it refuses, besides what is not CBOR: bytes after the value, unknown, duplicate and missing fields
// (unless omitempty), indefinite lengths, tags, unsorted keys, integers and floats that are longer than needed, an integer where
// a float stands, null where a list stands, NaN, infinities, invalid UTF-8, and what exceeds the bounds above.
func Unmarshal(data []byte, v any) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("decode into %T: want a pointer", v)
	}
	if len(data) > MaxBytes {
		return fmt.Errorf("decode %T: %d bytes, at most %d allowed", v, len(data), MaxBytes)
	}
	fresh := reflect.New(target.Type().Elem())
	if err := mode.dec.Unmarshal(data, fresh.Interface()); err != nil {
		// The library's text may repeat a key of the message, so it is quoted like any foreign string.
		return fmt.Errorf("decode %T: %q", v, err.Error())
	}
	// Into memory of our own: the library keeps what it encoded in buffers for later, and a message may be biometric.
	again := bytes.NewBuffer(make([]byte, 0, len(data)))
	defer func() { clear(again.Bytes()) }()
	if err := mode.enc.MarshalToBuffer(fresh.Interface(), again); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	if !bytes.Equal(again.Bytes(), data) {
		return fmt.Errorf("decode %T: %w", v, errNotCanonical)
	}
	target.Elem().Set(fresh.Elem())
	return nil
}

var errNotCanonical = errors.New("not the one deterministic encoding of its value")
