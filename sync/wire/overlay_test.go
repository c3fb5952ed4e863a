package wire

import (
	"testing"
)

type inner struct {
	Kept int     `cbor:"1,keyasint"`
	Said float32 `cbor:"2,keyasint"`
}

type older struct {
	Name  string
	Inner struct {
		Said float32 `cbor:"2,keyasint"`
	}
}

type newer struct {
	Name  string
	Inner inner
	Added [2]byte
}

// What an earlier version wrote fills what it knew, and no more.
func TestOverlay(t *testing.T) {
	var o older
	o.Name, o.Inner.Said = "a", 1.5
	data, err := Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	got := newer{Name: "default", Inner: inner{Kept: 7, Said: 9}, Added: [2]byte{1, 2}}
	if err := Overlay(data, &got); err != nil {
		t.Fatal(err)
	}
	if want := (newer{Name: "a", Inner: inner{Kept: 7, Said: 1.5}, Added: [2]byte{1, 2}}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	full, err := Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"a field that is unknown": full,
		"bytes after the end":     append(append([]byte{}, data...), 0),
		"cut off":                 data[:len(data)-1],
		"nothing":                 nil,
		"not the shortest form":   {0xa1, 0x64, 'N', 'a', 'm', 'e', 0x78, 0x01, 'a'},
		"a field twice":           {0xa2, 0x64, 'N', 'a', 'm', 'e', 0x61, 'a', 0x64, 'N', 'a', 'm', 'e', 0x61, 'b'},
		"another kind of value":   {0xa1, 0x64, 'N', 'a', 'm', 'e', 0x01},
	} {
		var into older
		if err := Overlay(bad, &into); err == nil {
			t.Errorf("%s: accepted as %+v", name, into)
		}
	}
}

// Kinds of fields whose values may be written in more than one way.
type kinds struct {
	Ratio float32
	List  []inner
	Bytes []byte
	Fixed [4]byte
	Four  [4]int32
	Map   map[string]int
}

// A value that is named is refused in every form that Unmarshal refuses it in.
func TestOverlayTakesOneFormOfAValue(t *testing.T) {
	field := func(name string, value ...byte) []byte {
		return append(append([]byte{0xa1, 0x60 | byte(len(name))}, name...), value...)
	}
	whole := kinds{Ratio: 2, List: []inner{{1, 2}}, Bytes: []byte{1, 2}, Fixed: [4]byte{1}, Four: [4]int32{1}, Map: map[string]int{"a": 1}}
	data, err := Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	if err := Overlay(data, new(kinds)); err != nil {
		t.Errorf("all fields: %v", err)
	}
	for name, tt := range map[string]struct {
		data []byte
		ok   bool
	}{
		"a ratio":                      {field("Ratio", 0xf9, 0x40, 0x00), true},
		"an integer for a ratio":       {field("Ratio", 0x02), false},
		"a longer ratio":               {field("Ratio", 0xfa, 0x40, 0x00, 0x00, 0x00), false},
		"null for a ratio":             {field("Ratio", 0xf6), false},
		"an empty list":                {field("List", 0x80), true},
		"null for a list":              {field("List", 0xf6), false},
		"an element that lacks fields": {field("List", 0x81, 0xa1, 0x01, 0x05), true},
		"keys in another order":        {field("List", 0x81, 0xa2, 0x02, 0xf9, 0, 0, 0x01, 0x05), false},
		"a longer count of fields":     {field("List", 0x81, 0xb8, 0x01, 0x01, 0x05), false},
		"a longer count of elements":   {field("List", 0x98, 0x01, 0xa1, 0x01, 0x05), false},
		"bytes":                        {field("Bytes", 0x42, 3, 4), true},
		"null for bytes":               {field("Bytes", 0xf6), false},
		"a list for bytes":             {field("Bytes", 0x82, 3, 4), false},
		"a list for fixed bytes":       {field("Fixed", 0x84, 1, 2, 3, 4), false},
		"too few fixed bytes":          {field("Fixed", 0x43, 1, 2, 3), false},
		"too many fixed bytes":         {field("Fixed", 0x45, 1, 2, 3, 4, 5), false},
		"too few of four":              {field("Four", 0x83, 1, 2, 3), false},
		"null for a map":               {field("Map", 0xf6), false},
		"null for everything":          {[]byte{0xf6}, false},
		"no field":                     {[]byte{0xa0}, true},
		"a list of no field":           {[]byte{0x80}, false},
	} {
		if err := Overlay(tt.data, new(kinds)); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever comes: what is taken over an empty value is the encoding of that value, less some fields, and laid over it again changes nothing.
func FuzzOverlay(f *testing.F) {
	for _, k := range []kinds{{}, {Ratio: 2, List: []inner{{1, 2}}, Bytes: []byte{1, 2}, Map: map[string]int{"a": 1}}} {
		data, err := Marshal(k)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{0xa1, 0x64, 'L', 'i', 's', 't', 0x81, 0xa1, 0x01, 0x05})
	f.Fuzz(func(t *testing.T, data []byte) {
		var k kinds
		if Overlay(data, &k) != nil {
			return
		}
		whole, err := Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > len(whole) {
			t.Errorf("%x is longer than all of it, %x", data, whole)
		}
		if err := Overlay(data, &k); err != nil {
			t.Fatalf("once more: %v", err)
		}
		if again, err := Marshal(k); err != nil || string(again) != string(whole) {
			t.Errorf("%x became %x: %v", whole, again, err)
		}
	})
}

func TestMarshalSecret(t *testing.T) {
	o := older{Name: "a"}
	want, err := Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := MarshalSecret(o, 100); err != nil || string(got) != string(want) || cap(got) != 100 {
		t.Errorf("got %x in room for %d: %v", got, cap(got), err)
	}
	if _, err := MarshalSecret(o, len(want)-1); err == nil {
		t.Error("more than its room was encoded")
	}
	if _, err := MarshalSecret(make(chan int), 100); err == nil {
		t.Error("what has no encoding was encoded")
	}
}
