package broker

import (
	"strings"
	"testing"
)

func TestSettingsThatCannotBe(t *testing.T) {
	for what, f := range map[string]func() ([]string, error){
		"no key":        func() ([]string, error) { return Settings(ClusterKey{}, []string{"a"}, "/x") },
		"two servers":   func() ([]string, error) { return Settings(NewClusterKey(), []string{"a", "b"}, "/x") },
		"a quote":       func() ([]string, error) { return Settings(NewClusterKey(), []string{`a"`}, "/x") },
		"a folder's":    func() ([]string, error) { return Settings(NewClusterKey(), []string{"a"}, "/x\ny") },
		"no folder":     func() ([]string, error) { return Settings(NewClusterKey(), []string{"a"}, "") },
		"an empty name": func() ([]string, error) { return Settings(NewClusterKey(), []string{""}, "/x") },
		"a port":        func() ([]string, error) { return Settings(NewClusterKey(), []string{"a:8883"}, "/x") },
		"a path":        func() ([]string, error) { return Settings(NewClusterKey(), []string{"../a"}, "/x") },
		"a folder":      func() ([]string, error) { return Settings(NewClusterKey(), []string{".."}, "/x") },
		"brackets":      func() ([]string, error) { return Settings(NewClusterKey(), []string{"[::1]"}, "/x") },
		"one twice":     func() ([]string, error) { return Settings(NewClusterKey(), []string{"a", "b", "A."}, "/x") },
		"an address twice": func() ([]string, error) {
			return Settings(NewClusterKey(), []string{"::1", "b", "0:0:0:0:0:0:0:1"}, "/x")
		},
	} {
		if files, err := f(); err == nil {
			t.Errorf("%s: %d settings", what, len(files))
		}
	}
}

func TestSettingsOfAddresses(t *testing.T) {
	files, err := Settings(NewClusterKey(), []string{"fd00::1", "192.0.2.1", "c.example"}, "/x")
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range []string{"@[fd00::1]:6222\"", "@192.0.2.1:6222\"", "@c.example:6222\""} {
		if !strings.Contains(files[0], route) {
			t.Errorf("no route to %s", route)
		}
	}
}
