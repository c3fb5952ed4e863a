//go:build !kiosk

package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/root"
)

// register is what the desk knows of the enrolled and a kiosk must not: names. It stands in for headquarters, which draws the ids.
type register struct {
	path   string
	People []entry `json:"people"`
}

type entry struct {
	Name      string `json:"name"`
	ID        string `json:"id"`
	Revoked   bool   `json:"revoked"`
	Suspended bool   `json:"suspended,omitempty"`
	// Local: enrolled by a door that puts whom it enrols itself into the group of that name. Rules of headquarters let nobody in who is in no group.
	Local bool `json:"local,omitempty"`
}

func (e entry) standing() access.Standing {
	switch {
	case e.Revoked:
		return access.Revoked
	case e.Suspended:
		return access.Suspended
	}
	return access.Permitted
}

// ruled: rules of headquarters find the person in a group. Whom an earlier desk enrolled is in none, and is enrolled anew; a suspension is not undone by
// that.
func (e entry) ruled() bool { return e.Local || e.standing() == access.Suspended }

// person is the id: checked when it was read, drawn by us otherwise.
func (e entry) person() access.PersonID {
	id, _ := access.ParsePersonID(e.ID)
	return id
}

const maxRegister = 1 << 20

// openRegister reads the register, or begins an empty one.
func openRegister(path string) (*register, error) {
	r := &register{path: path}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := json.NewDecoder(io.LimitReader(f, maxRegister))
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("read the desk's register %q: %w (remove it to begin anew)", path, err)
	}
	for _, e := range r.People {
		if _, err := access.ParsePersonID(e.ID); err != nil {
			return nil, fmt.Errorf("read the desk's register %q: %w", path, err)
		}
	}
	return r, nil
}

// save replaces the file as a whole, for good: door keeps what it acknowledged over a power cut, and an id that is forgotten here is nobody's there.
func (r *register) save() error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := root.Replace(r.path, data); err != nil {
		return fmt.Errorf("save register: %w", err)
	}
	return nil
}

// id is the person's id, a new one for whoever is not enrolled.
func (r *register) id(name string) (id access.PersonID) {
	if e, ok := r.entry(name); ok {
		return e.person()
	}
	rand.Read(id[:])
	return id
}

// put remembers a person and saves.
func (r *register) put(name string, id access.PersonID, s access.Standing) error {
	was, _ := r.entry(name)
	return r.keep(entry{Name: name, ID: id.String(), Revoked: s == access.Revoked, Suspended: s == access.Suspended, Local: was.Local})
}

// enrolled remembers somebody whom door has just enrolled, and saves.
func (r *register) enrolled(name string, id access.PersonID) error {
	return r.keep(entry{Name: name, ID: id.String(), Local: true})
}

func (r *register) keep(e entry) error {
	if i := r.index(e.Name); i >= 0 {
		r.People[i] = e
	} else {
		r.People = append(r.People, e)
	}
	return r.save()
}

// remove forgets a person and saves.
func (r *register) remove(name string) error {
	r.People = slices.DeleteFunc(r.People, func(e entry) bool { return e.Name == name })
	return r.save()
}

// permitted is how many people door should know and let in.
func (r *register) permitted() (n int) {
	for _, e := range r.People {
		if e.standing() == access.Permitted {
			n++
		}
	}
	return n
}

func (r *register) entry(name string) (e entry, ok bool) {
	if i := r.index(name); i >= 0 {
		return r.People[i], true
	}
	return entry{}, false
}

func (r *register) index(name string) int {
	return slices.IndexFunc(r.People, func(e entry) bool { return e.Name == name })
}

// name is the bench name of a person, empty for a stranger.
func (r *register) name(id access.PersonID) string {
	for _, e := range r.People {
		if e.ID == id.String() {
			return e.Name
		}
	}
	return ""
}
