package board

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Parse reads and checks a board file. An error says where in the file it stands.
func Parse(data []byte) (Board, error) {
	var b Board
	if err := decode(data, &b); err != nil {
		return Board{}, fmt.Errorf("parse board: %w", err)
	}
	if err := b.validate(); err != nil {
		return Board{}, fmt.Errorf("parse board %q: %w", b.Name, err)
	}
	return b, nil
}

// Names are the boards that this program was built with, sorted.
func Names() []string {
	found, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil // unreachable: the pattern is well-formed
	}
	for i, f := range found {
		found[i] = strings.TrimSuffix(f, ".json")
	}
	slices.Sort(found)
	return found
}

// Load reads a board that this program was built with.
func Load(name string) (Board, error) {
	if !slices.Contains(Names(), name) {
		return Board{}, fmt.Errorf("load board %q: this program has %q", name, Names())
	}
	data, err := files.ReadFile(name + ".json")
	if err != nil {
		return Board{}, fmt.Errorf("load board %q: %w", name, err)
	}
	b, err := Parse(data)
	if err != nil {
		return Board{}, fmt.Errorf("load board %q: %w", name, err)
	}
	if b.Name != name {
		return Board{}, fmt.Errorf("load board %q: its file calls it %q", name, b.Name)
	}
	return b, nil
}
