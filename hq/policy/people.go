package policy

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Person is somebody and the groups they are in.
type Person struct {
	Name   string
	Groups []string // sorted
}

// maxPeople is more than any fleet of doors knows.
const maxPeople = 1_000_000

// ReadPeople reads a list of people: CSV with a first line of "person,groups"; several groups stand with a space between them.
func ReadPeople(r io.Reader) ([]Person, error) {
	rows := csv.NewReader(r)
	rows.FieldsPerRecord = 2
	head, err := rows.Read()
	if err != nil || head[0] != "person" || head[1] != "groups" {
		return nil, errors.New(`read people: want CSV with a first line of "person,groups"`)
	}
	var people []Person
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return people, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read people: %w", err)
		}
		if len(people) == maxPeople {
			return nil, fmt.Errorf("read people: more than %d", maxPeople)
		}
		groups := strings.Fields(row[1])
		slices.Sort(groups)
		people = append(people, Person{row[0], slices.Compact(groups)})
	}
}
