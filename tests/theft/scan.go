package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf16"

	"go.etcd.io/bbolt"
)

// window is how many bytes in a row of a template or a key count as found: four components, half a key. By chance they occur nowhere.
const window = 16

// wanted is what a thief looks for.
type wanted struct {
	windows map[[window]byte]string
	texts   map[string]string // lower case
}

func newWanted() wanted { return wanted{map[[window]byte]string{}, map[string]string{}} }

// add looks for all windows of some bytes.
func (w wanted) add(what string, b []byte) {
	for i := 0; i+window <= len(b); i++ {
		w.windows[[window]byte(b[i:])] = what
	}
}

// addPerson looks for a person: id, templates in every form that we could think of, content key.
func (w wanted) addPerson(who string, p person) {
	w.add("id of "+who, p.id[:])
	w.add("content key of "+who, p.content)
	for i := range p.templates {
		w.addTemplate("template of "+who, p.templates[i])
		w.addTemplate("turned template of "+who, p.turned[i])
	}
}

// addTemplate looks for float32 and float64 in either order of bytes, and for int8 by the largest component, as a quantised gallery has them.
func (w wanted) addTemplate(what string, t []float32) {
	var little, big, double, small []byte
	var most float64
	for _, x := range t {
		most = max(most, math.Abs(float64(x)))
	}
	for _, x := range t {
		little = binary.LittleEndian.AppendUint32(little, math.Float32bits(x))
		big = binary.BigEndian.AppendUint32(big, math.Float32bits(x))
		double = binary.LittleEndian.AppendUint64(double, math.Float64bits(float64(x)))
		small = append(small, byte(int8(math.Round(127*float64(x)/most))))
	}
	w.add(what, little)
	w.add(what+" (big-endian)", big)
	w.add(what+" (float64)", double)
	w.add(what+" (int8)", small)
}

// addText looks for a name, in any case of letters.
func (w wanted) addText(what, text string) { w.texts[strings.ToLower(text)] = what }

// findings are what was found, each once.
type findings map[string]bool

func (f findings) list() string { return strings.Join(slices.Sorted(maps.Keys(f)), ", ") }

// raw looks at every offset.
func (w wanted) raw(b []byte, found findings) {
	var zeros [window]byte
	for i := 0; i+window <= len(b); i++ {
		at := [window]byte(b[i:])
		if at == zeros {
			continue
		}
		if what, ok := w.windows[at]; ok {
			found[what] = true
		}
	}
}

// strings looks at what strings(1) prints, in one byte a letter and in two, and at what such a text says as hexadecimal or base64.
func (w wanted) strings(b []byte, found findings) {
	for _, run := range printable(b) {
		w.text(run, found)
	}
	for _, from := range []int{0, 1} {
		wide := make([]byte, 0, len(b)/2)
		for i := from; i+1 < len(b); i += 2 {
			letter := byte(0)
			if r := utf16.Decode([]uint16{uint16(b[i]) | uint16(b[i+1])<<8})[0]; r < 0x7f {
				letter = byte(r)
			}
			wide = append(wide, letter)
		}
		for _, run := range printable(wide) {
			w.text(run, found)
		}
	}
}

// printable are the runs of at least four printable characters.
func printable(b []byte) (runs []string) {
	for _, run := range bytes.FieldsFunc(b, func(r rune) bool { return r < ' ' || r > '~' }) {
		if len(run) >= 4 {
			runs = append(runs, string(run))
		}
	}
	return runs
}

func (w wanted) text(run string, found findings) {
	lower := strings.ToLower(run)
	for text, what := range w.texts {
		if strings.Contains(lower, text) {
			found[what] = true
		}
	}
	// What stands before the text shifts its digits: every shift is tried.
	for _, digits := range strings.FieldsFunc(run, outside(hexDigits)) {
		for from := range min(2, len(digits)) {
			decoded, _ := hex.DecodeString(digits[from:]) // without an odd last digit
			w.raw(decoded, found)
		}
	}
	for alphabet, code := range map[string]*base64.Encoding{"+/": base64.RawStdEncoding, "-_": base64.RawURLEncoding} {
		for _, digits := range strings.FieldsFunc(run, outside(letters+alphabet)) {
			for from := range min(4, len(digits)) {
				decoded, _ := code.DecodeString(digits[from:]) // as far as it goes
				w.raw(decoded, found)
			}
		}
	}
}

const (
	hexDigits = "0123456789abcdefABCDEF"
	letters   = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

func outside(alphabet string) func(rune) bool {
	return func(r rune) bool { return !strings.ContainsRune(alphabet, r) }
}

// bolt looks through bbolt's API at every key and value of every bucket.
func (w wanted) bolt(path string, found findings) (values int, err error) {
	err = look(path, func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(key, value []byte) error {
				values++
				for _, part := range [][]byte{name, key, value} {
					w.raw(part, found)
					w.strings(part, found)
				}
				return nil
			})
		})
	})
	return values, err
}

// files calls f with each file below a folder.
func files(dir string, f func(path string, content []byte) error) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return f(path, content)
	})
}
