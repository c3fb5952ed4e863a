//go:build amd64

package match

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestKernelsOnArm64 builds this package's tests for arm64 and runs them in emulation, so that both families of kernels are
// tested wherever the tests run.
func TestKernelsOnArm64(t *testing.T) {
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		t.Fatal("qemu-aarch64-static is absent, so the arm64 kernels cannot be tested: run make deps")
	}
	// go test remembers a result until a file that the test opened changes; the arm64 files are not part of this binary.
	sources, err := filepath.Glob("*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		if info, err := os.Stat(name); err != nil || info.IsDir() {
			continue
		}
		if _, err := os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}

	binary := filepath.Join(t.TempDir(), "match.test")
	build := exec.Command("go", "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the tests for arm64: %v\n%s", err, out)
	}

	// Natively only: the tests of even time, since that of an emulated search says nothing about a processor, and the ranks of
	// int8, which follow from equal sums and take long.
	// The second processor has no FEAT_DotProd: there it is enough to see that the other kernel is chosen and works.
	tests := []string{"TestInt8SumsAreTheTwins", "TestFloat32ScoresAreTheTwinsWithinRounding", "TestSearchFindsBestAndBestOther"}
	for _, c := range []struct{ cpu, kernel, run string }{
		{"max", "neon-dot", "."}, {"cortex-a72", "neon", strings.Join(tests, "|")},
	} {
		run := exec.Command(qemu, "-cpu", c.cpu, binary, "-test.v", "-test.run", c.run, "-test.skip", "Time|TestInt8Ranks")
		out, err := run.CombinedOutput()
		if err != nil {
			t.Errorf("tests on an emulated %s: %v\n%s", c.cpu, err, out)
			continue
		}
		for _, test := range tests {
			if !strings.Contains(string(out), "--- PASS: "+test+" ") {
				t.Errorf("an emulated %s did not run %s", c.cpu, test)
			}
		}
		if !strings.Contains(string(out), "--- PASS: TestInt8SumsAreTheTwins/"+c.kernel+" ") {
			t.Errorf("an emulated %s did not run the kernel %s", c.cpu, c.kernel)
		}
		if dot := strings.Contains(string(out), "/neon-dot "); dot != (c.kernel == "neon-dot") {
			t.Errorf("an emulated %s: int8 dot products in use: %t", c.cpu, dot)
		}
	}
}
