package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lintel-access/lintel/access/vault"
)

// names are those of the enrolled, which headquarters knows and no kiosk is told. They are looked for all the same.
func names() []string {
	return []string{"Nadezhda Quillfeather", "Ottoline Brackwater", "Thaddeus Vornholm"}
}

// wantedOf is all that a thief would like to read.
func wantedOf(v *victim) (wanted, error) {
	w := newWanted()
	for i, p := range v.people[:crowd] {
		w.addPerson(fmt.Sprintf("person %d", i), p)
	}
	for what, key := range v.keys.named() {
		w.add(what, key)
	}
	w.add("owner's secrets", v.secrets[:])
	private, err := v.release.Bytes()
	if err != nil {
		return w, err
	}
	w.add("release key", private)
	for _, name := range names() {
		w.addText("name "+name, name)
	}
	w.addText("policy", "policy of the theft")
	return w, nil
}

var errReadable = errors.New("readable")

// verdictOf makes findings an error.
func verdictOf(looked string, found findings) (string, error) {
	if len(found) > 0 {
		return "", fmt.Errorf("%w: %s", errReadable, found.list())
	}
	return "nothing found in " + looked, nil
}

// readRows read the disk. What they look for they find in a vault that is not sealed: the last rows.
func (t *theft) readRows() []row {
	v, w := t.victim, t.wanted
	return []row{
		{"7.1", "every byte of the disk, as it was at each moment, read raw", nil, func() (string, error) {
			found, count, size := findings{}, 0, 0
			for _, m := range v.moments {
				if err := files(m.disk(), func(_ string, content []byte) error {
					count, size = count+1, size+len(content)
					w.raw(content, found)
					return nil
				}); err != nil {
					return "", err
				}
			}
			return verdictOf(fmt.Sprintf("%d files of %d MB, under %d patterns", count, size>>20, len(w.windows)), found)
		}},
		{"7.2", "every file of the disk with strings, texts decoded as hexadecimal and base64 too", nil, func() (string, error) {
			found, count := findings{}, 0
			err := files(v.moments[theEnd].disk(), func(_ string, content []byte) error {
				count++
				w.strings(content, found)
				return nil
			})
			if err != nil {
				return "", err
			}
			return verdictOf(fmt.Sprintf("%d files", count), found)
		}},
		{"7.3", "the vault through bbolt's own API, every bucket, key and value", nil, func() (string, error) {
			found := findings{}
			count, err := w.bolt(v.vaultAt(theEnd), found)
			if err != nil {
				return "", err
			}
			return verdictOf(fmt.Sprintf("%d values", count), found)
		}},
		{"7.4", "what was stored of the deleted person, as it was, in free pages of the raw vault", nil, t.leftovers},
		{"7.5", "the data key stolen too: the deleted person's content key, tried at every offset", nil, t.digUp},
		{"7.6", "control: the same scans of a vault with these people that is not sealed", nil, t.plainForm},
	}
}

// leftovers looks for the sealed records that the deletion removed, in the file of before, where they must be, and after.
func (t *theft) leftovers() (string, error) {
	before, err := contents(t.victim.vaultAt(atRevocation))
	if err != nil {
		return "", err
	}
	after, err := contents(t.victim.vaultAt(atDeletion))
	if err != nil {
		return "", err
	}
	gone, count := newWanted(), 0
	for _, name := range []string{"person", "key", "reference"} {
		for key, value := range before[name] {
			if after[name][key] == nil {
				gone.add("record in "+name, value)
				count++
			}
		}
	}
	there, left := findings{}, findings{}
	for at, found := range map[string]findings{atRevocation: there, atDeletion: left} {
		file, err := os.ReadFile(t.victim.vaultAt(at))
		if err != nil {
			return "", err
		}
		gone.raw(file, found)
	}
	if len(there) != 3 {
		return "", fmt.Errorf("the scan is blind: it finds %d of 3 kinds of records in the file of before", len(there))
	}
	return verdictOf(fmt.Sprintf("the file of after; all %d records in that of before", count), left)
}

// digUp looks for the content key of whoever was deleted, in the file of before, where it must be, and after.
func (t *theft) digUp() (string, error) {
	v := t.victim
	for _, at := range []struct {
		moment string
		there  bool
	}{{atRevocation, true}, {atDeletion, false}, {theEnd, false}} {
		file, err := os.ReadFile(v.vaultAt(at.moment))
		if err != nil {
			return "", err
		}
		there, err := v.keys.dig(file, v.people[deleted])
		if err != nil {
			return "", err
		}
		if there != at.there {
			return "", fmt.Errorf("%w: in the file after the %s: %v", errReadable, at.moment, there)
		}
	}
	return "found in the file of before the deletion, not in that of after", nil
}

// plainForm shows that the scans find what there is to find: a vault without a TPM keeps all of it, and of the deleted person too.
func (t *theft) plainForm() (string, error) {
	v := t.victim
	dir := filepath.Join(t.work, "plain")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "vault.db")
	plain, err := vault.Open(file, vault.Options{})
	if err != nil {
		return "", err
	}
	w := newWanted()
	for i, p := range v.people[:crowd] {
		p.content, p.turned = nil, p.templates // it has neither
		w.addPerson(fmt.Sprintf("person %d", i), p)
		err = errors.Join(err, put(plain, p, v.bundle, 1))
	}
	subject, keyErr := plain.SubjectKey()
	w.add("subjects' key", subject[:])
	w.addText("policy", "policy of the theft")
	err = errors.Join(err, keyErr, plain.SetPolicy([]byte("first policy of the theft")), plain.Delete(v.people[deleted].id, 1), plain.Close())
	if err != nil {
		return "", err
	}
	raw, bolt := findings{}, findings{}
	if err := files(dir, func(_ string, content []byte) error { w.raw(content, raw); w.strings(content, raw); return nil }); err != nil {
		return "", err
	}
	if _, err := w.bolt(file, bolt); err != nil {
		return "", err
	}
	for i := range v.people[:crowd] {
		id, template := fmt.Sprintf("id of person %d", i), fmt.Sprintf("turned template of person %d", i)
		if !raw[id] || !raw[template] {
			return "", fmt.Errorf("the raw scan is blind: it does not find %q or %q", id, template)
		}
		if i != deleted && (!bolt[id] || !bolt[template]) {
			return "", fmt.Errorf("the scan of buckets is blind: it does not find %q or %q", id, template)
		}
	}
	for _, what := range []string{"subjects' key", "policy"} {
		if !raw[what] || !bolt[what] {
			return "", fmt.Errorf("a scan is blind: it does not find %s", what)
		}
	}
	return fmt.Sprintf("all found: %d of %d ids and templates, the deleted person's too", crowd, crowd), nil
}
