//go:build !kiosk

package twin

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed scenes/*.scene
var sceneFiles embed.FS

const enrolFile = "enrol.scene"

// Scenes parses the product's own scenes in their order.
func Scenes() ([]*Scene, error) {
	entries, err := fs.ReadDir(sceneFiles, "scenes") // sorted by name
	if err != nil {
		return nil, fmt.Errorf("list scenes: %w", err)
	}
	var list []*Scene
	for _, e := range entries {
		if e.Name() == enrolFile {
			continue
		}
		s, err := embedded(e.Name())
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// Enrolment is the walk-up in which the enrolled person of that number, from 1, is enrolled.
func Enrolment(number int) (*Scene, error) {
	s, err := embedded(enrolFile)
	if err != nil {
		return nil, err
	}
	for i := range s.Actors {
		s.Actors[i].Number = number
	}
	return s, nil
}

func embedded(file string) (*Scene, error) {
	text, err := sceneFiles.ReadFile("scenes/" + file)
	if err != nil {
		return nil, fmt.Errorf("read scene: %w", err)
	}
	name := strings.TrimSuffix(file, ".scene")
	if _, after, ok := strings.Cut(name, "-"); ok {
		name = after
	}
	return ParseScene(name, text)
}
