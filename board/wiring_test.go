//go:build !kiosk

package board

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const page = "../docs/BOARDS.md"

// header is the 40-pin header of every Raspberry Pi since the 1B+, by pin.
var header = [41]string{
	1: "3V3", "5V", "GPIO2", "5V", "GPIO3", "GND", "GPIO4", "GPIO14", "GND", "GPIO15", "GPIO17", "GPIO18", "GPIO27", "GND", "GPIO22", "GPIO23", "3V3",
	"GPIO24", "GPIO10", "GND", "GPIO9", "GPIO25", "GPIO11", "GPIO8", "GND", "GPIO7", "GPIO0", "GPIO1", "GPIO5", "GND", "GPIO6", "GPIO12", "GPIO13",
	"GND", "GPIO19", "GPIO16", "GPIO26", "GPIO20", "GND", "GPIO21",
}

// taken are the GPIOs of the header that no line may have.
var taken = map[int]string{
	0: "identity of add-on boards", 1: "identity of add-on boards", 2: "I²C", 3: "I²C", 7: "SPI0", 8: "SPI0", 9: "SPI0", 10: "SPI0", 11: "SPI0",
	14: "console", 15: "console", 24: "the TPM's reset", 25: "the TPM's interrupt",
}

// table is the rows below the first table head of the page that contains the words.
func table(t *testing.T, head string) [][]string {
	t.Helper()
	_, rest, found := strings.Cut(string(read(t, page)), "\n| "+head)
	if !found {
		t.Fatalf("%s has no table %q", page, head)
	}
	body, _, _ := strings.Cut(rest, "\n\n")
	var rows [][]string
	for _, line := range strings.Split(body, "\n")[2:] {
		cells := strings.Split(strings.Trim(line, "| "), "|")
		for i := range cells {
			cells[i] = strings.Trim(cells[i], " `")
		}
		rows = append(rows, cells)
	}
	return rows
}

// TestWiringOfThePis: what an installer reads is what the programs drive, pin by pin.
func TestWiringOfThePis(t *testing.T) {
	rows := table(t, "line | GPIO |")
	for name, chip := range map[string]string{"rpi4": "pinctrl-bcm2711", "rpi5": "pinctrl-rp1"} {
		b, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := maps.Clone(b.Lines)
		for _, row := range rows {
			line := Line(row[0])
			w, wired := lines[line]
			if !wired {
				t.Errorf("%s: the page wires %q, or wires it twice", name, line)
				continue
			}
			delete(lines, line)
			pin, _ := strconv.Atoi(row[2])
			want := []string{strconv.Itoa(w.Pin), row[2], string(w.Active), string(w.Pull), strconv.Itoa(int(w.Debounce))}
			if w.Chip != chip || !slices.Equal(row[1:6], want) || pin < 1 || pin > 40 || header[pin] != fmt.Sprintf("GPIO%d", w.Pin) {
				t.Errorf("%s: the page says %q, the file %+v, and header pin %d is %q", name, row, w, pin, header[min(max(pin, 0), 40)])
			}
			if by, isTaken := taken[w.Pin]; isTaken {
				t.Errorf("%s: %s is on GPIO %d, which is for %s", name, line, w.Pin, by)
			}
		}
		for line := range lines {
			t.Errorf("%s: the page does not wire %q", name, line)
		}
	}
}

// TestDrawing: the drawn header is the real one, and each wire is drawn where the table has it.
func TestDrawing(t *testing.T) {
	drawn := map[Line]int{}
	pins := 0
	for _, m := range regexp.MustCompile(`(?m)^ *(\S*)  +(\S+) +(\d+) ● ● (\d+) +(\S+) *(\S*)$`).FindAllStringSubmatch(string(read(t, page)), -1) {
		for _, side := range [][3]string{{m[3], m[2], m[1]}, {m[4], m[5], m[6]}} {
			pins++
			if n, err := strconv.Atoi(side[0]); err != nil || n != pins || header[n] != side[1] {
				t.Errorf("place %d is drawn as pin %q, %q", pins, side[0], side[1])
			}
			if line := Line(side[2]); line != "" && !strings.HasPrefix(side[2], "TPM-") {
				drawn[line] = pins
			}
		}
	}
	if pins != 40 {
		t.Errorf("%d pins are drawn", pins)
	}
	rows := table(t, "line | GPIO |")
	for _, row := range rows {
		if strconv.Itoa(drawn[Line(row[0])]) != row[2] {
			t.Errorf("%s is drawn at pin %d, the table has %s", row[0], drawn[Line(row[0])], row[2])
		}
	}
	if len(drawn) != len(rows) {
		t.Errorf("%d wires are drawn, the table has %d", len(drawn), len(rows))
	}
}

func TestLinesOfOtherBoards(t *testing.T) {
	rows := table(t, "line | `desk`")
	for i, name := range []string{"desk", "desk-2", "lab", "qemu-virt"} {
		b, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		on := 0
		for _, row := range rows {
			want := "–"
			if w, wired := b.Lines[Line(row[0])]; wired {
				on++
				want = fmt.Sprintf("%d %s", w.Pin, w.Active)
			}
			if row[i+1] != want {
				t.Errorf("%s: the page has %s at %q, the file at %q", name, row[0], row[i+1], want)
			}
		}
		if on != len(b.Lines) {
			t.Errorf("%s: the page has %d of %d lines", name, on, len(b.Lines))
		}
	}
}

// TestPageExplainsEveryField: the page's table of fields names each field of the schema.
func TestPageExplainsEveryField(t *testing.T) {
	var fields string
	for _, row := range table(t, "field | meaning") {
		fields += row[0] + " " + row[1] + "\n"
	}
	for _, name := range schema() {
		if !strings.Contains(fields, name) {
			t.Errorf("%s does not explain %q", page, name)
		}
	}
}
