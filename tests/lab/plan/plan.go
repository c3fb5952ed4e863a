// Package plan is what the laboratory's runner tells the machine's first process, and how that one answers.
//
// The plan is a file in the initial RAM disk. The answers are lines on a channel of their own (the machine's /dev/tty1, a socket of the
// runner), which nobody else writes: not the kernel's console, not a test's output.
package plan

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Dir is the folder inside the machine that holds what this package names.
const Dir = "/lab"

const (
	File    = Dir + "/plan.json"
	Modules = Dir + "/modules" // the kernel's modules; their names sort in load order
	Outside = Dir + "/outside" // a folder of the host, kept over all boots of a suite; a write is durable when it returns
	Scratch = Dir + "/scratch" // gone at power-off
	Channel = "/dev/tty1"
	Disk    = "/dev/ubda" // the disk of a suite that asked for one: ext4, kept over all its boots
)

// Plan is one boot.
type Plan struct {
	Suite    string
	Program  string            // test program, a path of the host
	Folder   string            // where it runs, a path of the host: its package
	Programs string            // folder of the kiosk's programs, a path of the host; empty if the suite needs none
	Run      string            // which tests, as go test -run; empty: all
	Outside  string            // path of the host
	Modules  map[string]string // parameters, by module
	Deadline time.Duration     // for all tests of this boot
	Boot     int               // 0, then one more after every cut or reset
	Long     bool
}

// Read reads the plan of the machine that this process runs in.
func Read() (Plan, error) {
	text, err := os.ReadFile(File)
	if err != nil {
		return Plan{}, fmt.Errorf("this is no machine of the laboratory (run: make lab): %w", err)
	}
	var p Plan
	if err := json.Unmarshal(text, &p); err != nil {
		return Plan{}, fmt.Errorf("read %q: %w", File, err)
	}
	return p, nil
}

// Verb says what a line on the channel is about. The rest of the line belongs to it.
type Verb string

const (
	Up     Verb = "up"     // the kernel's release and seconds since its start: mounts and modules are there
	Beat   Verb = "beat"   // the machine is alive; once a second
	Out    Verb = "out"    // a line of the test program's output
	Ended  Verb = "ended"  // exit status of the test program, or what ended it; the last line
	Broken Verb = "broken" // why the tests could not be run; the last line
	Cut    Verb = "cut"    // please take the power away in so many milliseconds, and boot again
	Reset  Verb = "reset"  // within so many milliseconds the machine should reset by itself; then boot again
)

// Line is a line for the channel.
func Line(v Verb, rest string) []byte {
	return []byte(string(v) + " " + strings.ReplaceAll(rest, "\n", " ") + "\n")
}

// Split takes a line of the channel apart.
func Split(line string) (Verb, string) {
	v, rest, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
	return Verb(v), rest
}

// Milliseconds writes the time of Cut and Reset.
func Milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// ParseMilliseconds reads the time of Cut and Reset.
func ParseMilliseconds(s string) (time.Duration, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("read milliseconds: %q", s)
	}
	return time.Duration(n) * time.Millisecond, nil
}
