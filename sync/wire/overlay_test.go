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
