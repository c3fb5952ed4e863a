package walkup

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// copyCache makes a cache whose files may be spoilt; the large ones are links.
func copyCache(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{"bundle", "ort", "photos"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(filepath.Join(cache, folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if err := os.Symlink(filepath.Join(cache, folder, e.Name()), filepath.Join(dir, folder, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// replace puts data in the place of a linked file.
func replace(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What is wrong with the installation stops eye and the desk with a sentence that names the file.
//
// Control: C10
func TestSpoiltInstallation(t *testing.T) {
	const extractor, detector, library = "bundle/fr_feature.onnx", "bundle/fr_detect.onnx", "ort/libonnxruntime.so.1"
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string)
		says  []string
	}{
		{"model missing", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, extractor)); err != nil {
				t.Fatal(err)
			}
		}, []string{"fr_feature.onnx"}},
		{"model truncated", func(t *testing.T, dir string) {
			data := read(t, filepath.Join(dir, extractor))
			replace(t, filepath.Join(dir, extractor), data[:len(data)/2])
		}, []string{"fr_feature.onnx"}},
		{"one bit of a model flipped", func(t *testing.T, dir string) {
			data := bytes.Clone(read(t, filepath.Join(dir, extractor)))
			data[len(data)/2] ^= 1
			replace(t, filepath.Join(dir, extractor), data)
		}, []string{"fr_feature.onnx", "sha256"}},
		{"models swapped", func(t *testing.T, dir string) {
			replace(t, filepath.Join(dir, extractor), read(t, filepath.Join(cache, detector)))
		}, []string{"fr_feature.onnx"}},
		{"library missing", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, library)); err != nil {
				t.Fatal(err)
			}
		}, []string{"libonnxruntime.so.1"}},
		{"library of another processor", func(t *testing.T, dir string) {
			data := bytes.Clone(read(t, filepath.Join(dir, library)))
			data[18], data[19] = 0x16, 0 // e_machine: IBM S/390
			replace(t, filepath.Join(dir, library), data)
		}, []string{"libonnxruntime.so.1", "is for"}},
		{"library is a text", func(t *testing.T, dir string) {
			replace(t, filepath.Join(dir, library), []byte("not a library\n"))
		}, []string{"libonnxruntime.so.1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := copyCache(t)
			tt.spoil(t, dir)
			eye := exec.Command(program("eye"), "-run", t.TempDir(), "-bundle", filepath.Join(dir, "bundle"), "-library", filepath.Join(dir, library))
			desk := exec.Command(program("desk"), "-no-headquarters", "-demo", "-cache", dir)
			for name, cmd := range map[string]*exec.Cmd{"eye": eye, "desk": desk} {
				out, err := cmd.CombinedOutput()
				if err == nil {
					t.Errorf("%s started", name)
				}
				for _, want := range tt.says {
					if !strings.Contains(strings.ToLower(string(out)), strings.ToLower(want)) {
						t.Errorf("%s does not say %q:\n%s", name, want, out)
					}
				}
				if name == "eye" && cmd.ProcessState.ExitCode() != 78 {
					t.Errorf("eye ended with %d, want 78: starting again cannot help", cmd.ProcessState.ExitCode())
				}
			}
		})
	}
}

func TestPhotographsThatAreNone(t *testing.T) {
	run := func(dir string) string {
		out, err := exec.Command(program("desk"), "-no-headquarters", "-demo", "-cache", cache, "-people", dir).CombinedOutput()
		if err == nil {
			t.Errorf("the demo ran on %s", dir)
		}
		return string(out)
	}
	if out := run(t.TempDir()); !strings.Contains(out, "the folder is empty") {
		t.Errorf("empty folder:\n%s", out)
	}
	if out := run(filepath.Join(t.TempDir(), "absent")); !strings.Contains(out, "no such file") {
		t.Errorf("absent folder:\n%s", out)
	}
	if out := run(filepath.Join(cache, "photos", "sample3.jpg")); !strings.Contains(out, "it is not a folder") {
		t.Errorf("a file for a folder:\n%s", out)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"text.jpg": []byte("a letter"), "empty.png": nil,
		"cut.jpg": read(t, filepath.Join(cache, "photos", "sample3.jpg"))[:2000],
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := run(dir)
	for _, want := range []string{"left out text.jpg", "left out empty.png", "left out cut.jpg", "0 usable faces"} {
		if !strings.Contains(out, want) {
			t.Errorf("does not say %q:\n%s", want, out)
		}
	}
}

func TestHelpIsForStrangers(t *testing.T) {
	for _, name := range []string{"eye", "door", "link", "desk"} {
		out, err := exec.Command(program(name), "-h").CombinedOutput()
		if err != nil || !strings.Contains(string(out), name+" ") || !strings.Contains(string(out), "-") {
			t.Errorf("%s -h: %v\n%s", name, err, out)
		}
		out, err = exec.Command(program(name), "nonsense").CombinedOutput()
		if err == nil {
			t.Errorf("%s nonsense: accepted\n%s", name, out)
		}
	}
}

// A state folder that cannot be used ends the desk with a sentence that says why.
func TestStateFolderThatCannotBeUsed(t *testing.T) {
	shared := t.TempDir()
	if err := os.Chmod(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir, says := range map[string]string{
		filepath.Join(cache, "photos", "sample3.jpg", "state"): "make state folder",
		shared: "want 0700",
	} {
		out, err := exec.Command(program("desk"), "-no-headquarters", "-demo", "-cache", cache, "-state", dir).CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if last := lines[len(lines)-1]; err == nil || !strings.HasPrefix(last, "desk: ") || !strings.Contains(last, says) {
			t.Errorf("state in %s: %v, does not end with %q\n%s", dir, err, says, out)
		}
	}
}

func TestBadScenes(t *testing.T) {
	for name, tt := range map[string]struct{ text, says string }{
		"unknown statement": {"title \"x\"\nduration 1s\ndance wildly\n", "line 3"},
		"nobody there":      {"title \"x\"\nduration 1s\nexpect nothing\nperson stranger 9\nat 0s position 0 0 1\n", "stranger 9"},
	} {
		path := filepath.Join(t.TempDir(), "own.scene")
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(program("desk"), "-no-headquarters", "-demo", "-cache", cache, "-state", enrolledState(t), "-scene", path).CombinedOutput()
		if err == nil || !strings.Contains(string(out), tt.says) {
			t.Errorf("%s: %v, does not say %q\n%s", name, err, tt.says, out)
		}
	}
}
