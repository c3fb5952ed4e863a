package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Roles of an image. The first three are of recognition, the last two of presentation attack detection; a live image is also an
// image of recognition.
const (
	roleEnrol    = "enrol"
	roleMated    = "mated"
	roleNonmated = "nonmated"
	roleLive     = "live"
	rolePrint    = "print"
)

// photo is one image of the set.
type photo struct {
	path   string // below the folder of the set
	person int    // index into set.people
	role   string
}

// set is a folder of photographs in the order of its index.
type set struct {
	dir    string
	people []string
	photos []photo
}

const maxPhotos = 100_000 // all pairs of more would not end within a day

// readSet reads index.tsv (path, person, role; a header line; further columns are ignored) or, where there is none, takes each
// sub-folder as a person: the first image in the order of names is the reference, the others are mated probes, a person with one
// image is a non-mated probe.
func readSet(dir string) (*set, error) {
	f, err := os.Open(filepath.Join(dir, "index.tsv"))
	if errors.Is(err, fs.ErrNotExist) {
		return readFolders(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("read data: %w", err)
	}
	defer f.Close()
	s := &set{dir: dir}
	number := map[string]int{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		column := strings.Split(lines.Text(), "\t")
		if n == 1 && column[0] == "path" {
			continue
		}
		if len(column) < 3 {
			return nil, fmt.Errorf("read index.tsv: line %d has %d columns, want path, person and role", n, len(column))
		}
		if !filepath.IsLocal(column[0]) {
			return nil, fmt.Errorf("read index.tsv: line %d: path %q leaves the folder", n, column[0])
		}
		switch column[2] {
		case roleEnrol, roleMated, roleNonmated, roleLive, rolePrint:
		default:
			return nil, fmt.Errorf("read index.tsv: line %d: unknown role %q", n, column[2])
		}
		s.add(number, column[0], column[1], column[2])
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read index.tsv: %w", err)
	}
	return s, s.check()
}

func readFolders(dir string) (*set, error) {
	s := &set{dir: dir}
	number := map[string]int{}
	people, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read data: %w", err)
	}
	for _, p := range people {
		if !p.IsDir() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(dir, p.Name()))
		if err != nil {
			return nil, fmt.Errorf("read data: %w", err)
		}
		files = slices.DeleteFunc(files, func(f fs.DirEntry) bool { return f.IsDir() || !isPhoto(f.Name()) })
		for i, f := range files {
			role := roleMated
			switch {
			case len(files) == 1:
				role = roleNonmated
			case i == 0:
				role = roleEnrol
			}
			s.add(number, filepath.Join(p.Name(), f.Name()), p.Name(), role)
		}
	}
	return s, s.check()
}

// readAttacks reads the frames for presentation attack detection: those of the roles live and print in index.tsv or, where there is none, the files of
// the folders live and print, whose names begin with the person and an underscore.
func readAttacks(dir string) (*set, error) {
	s := &set{dir: dir}
	if _, err := os.Stat(filepath.Join(dir, "index.tsv")); err == nil {
		all, err := readSet(dir)
		if err != nil {
			return nil, err
		}
		s.people = all.people
		s.photos = slices.DeleteFunc(all.photos, func(p photo) bool { return p.role != roleLive && p.role != rolePrint })
		return s, s.check()
	}
	number := map[string]int{}
	for _, role := range []string{roleLive, rolePrint} {
		files, err := os.ReadDir(filepath.Join(dir, role))
		if err != nil {
			return nil, fmt.Errorf("read data: %w", err)
		}
		for _, f := range files {
			person, _, named := strings.Cut(f.Name(), "_")
			if f.IsDir() || !isPhoto(f.Name()) {
				continue
			}
			if !named {
				return nil, fmt.Errorf("read data: %q names no person before an underscore", f.Name())
			}
			s.add(number, filepath.Join(role, f.Name()), person, role)
		}
	}
	return s, s.check()
}

func isPhoto(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".jpg", ".jpeg", ".pgm":
		return true
	}
	return false
}

func (s *set) add(number map[string]int, path, person, role string) {
	id, ok := number[person]
	if !ok {
		id = len(s.people)
		number[person] = id
		s.people = append(s.people, person)
	}
	s.photos = append(s.photos, photo{path: path, person: id, role: role})
}

func (s *set) check() error {
	switch {
	case len(s.photos) == 0:
		return fmt.Errorf("read data: no photographs in %q", s.dir)
	case len(s.photos) > maxPhotos:
		return fmt.Errorf("read data: %d photographs, at most %d", len(s.photos), maxPhotos)
	}
	return nil
}

// has reports whether a role occurs.
func (s *set) has(role string) bool {
	return slices.ContainsFunc(s.photos, func(p photo) bool { return p.role == role })
}
