package gpio

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func door() map[string]Line {
	return map[string]Line{
		"relay": {Chip: "c", Offset: 0, Kind: Output, Active: High, KeepIf: "fire"},
		"rex":   {Chip: "c", Offset: 1, Kind: Input, Active: Low, Debounce: 10 * time.Millisecond},
		"fire":  {Chip: "c", Offset: 2, Kind: Input, Active: High, Debounce: 20 * time.Millisecond, Alarm: true},
		"led":   {Chip: "c", Offset: 3, Kind: Indicator, Active: Low, Initial: true},
	}
}

func TestConfigRefuses(t *testing.T) {
	if err := (Config{Lines: door()}).validate(); err != nil {
		t.Fatalf("a good door: %v", err)
	}
	bend := func(name string, f func(*Line)) map[string]Line {
		lines := door()
		l := lines[name]
		f(&l)
		lines[name] = l
		return lines
	}
	many := map[string]Line{}
	for i := range maxLines + 1 {
		many[strings.Repeat("x", i+1)] = Line{Chip: "c", Offset: i, Kind: Input, Active: High}
	}
	nameless := door()
	nameless[""] = Line{Chip: "c", Offset: 9, Kind: Input, Active: High}
	for name, c := range map[string]struct {
		lines map[string]Line
		want  string
	}{
		"nothing":              {nil, "0 lines, want 1 to 64"},
		"too many":             {many, "65 lines, want 1 to 64"},
		"nameless":             {nameless, "has no name"},
		"no chip":              {bend("relay", func(l *Line) { l.Chip = "" }), `line "relay": no chip`},
		"negative offset":      {bend("relay", func(l *Line) { l.Offset = -1 }), `line "relay": offset -1 is outside`},
		"vast offset":          {bend("relay", func(l *Line) { l.Offset = 1 << 16 }), `line "relay": offset 65536 is outside`},
		"no direction":         {bend("rex", func(l *Line) { l.Kind = "" }), `line "rex": kind "" is neither`},
		"unknown direction":    {bend("rex", func(l *Line) { l.Kind = "both" }), `line "rex": kind "both" is neither`},
		"no active level":      {bend("relay", func(l *Line) { l.Active = "" }), `line "relay": active level "" is neither`},
		"unknown active level": {bend("relay", func(l *Line) { l.Active = "HIGH" }), `line "relay": active level "HIGH" is neither`},
		"both directions":      {bend("rex", func(l *Line) { l.Offset = 0 }), `line "rex": chip "c" offset 0 is already "relay", an output`},
		"unknown pull":         {bend("rex", func(l *Line) { l.Pull = "UP" }), `line "rex": pull "UP" is neither`},
		"output pulled":        {bend("relay", func(l *Line) { l.Pull = Up }), `line "relay": pull is for inputs, this is an output`},
		"negative debounce":    {bend("rex", func(l *Line) { l.Debounce = -1 }), `line "rex": debounce -1ns is outside`},
		"endless debounce":     {bend("rex", func(l *Line) { l.Debounce = time.Hour }), `line "rex": debounce 1h0m0s is outside`},
		"output debounced":     {bend("relay", func(l *Line) { l.Debounce = 1 }), `line "relay": debounce and alarm are for inputs`},
		"indicator alarmed":    {bend("led", func(l *Line) { l.Alarm = true }), `line "led": debounce and alarm are for inputs, this is an indicator`},
		"input driven":         {bend("rex", func(l *Line) { l.Initial = true }), `line "rex": an input has no initial level`},
		"indicator kept":       {bend("led", func(l *Line) { l.KeepIf = "fire" }), `line "led": only an output can keep`},
		"kept by an output":    {bend("relay", func(l *Line) { l.KeepIf = "led" }), `line "relay": keeps its level by "led", which is no input`},
		"kept by nothing":      {bend("relay", func(l *Line) { l.KeepIf = "smoke" }), `line "relay": keeps its level by "smoke"`},
	} {
		l, err := Open(Config{Lines: maps.Clone(c.lines)})
		if l != nil || err == nil || !strings.HasPrefix(err.Error(), "open lines: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

// TestPolarity goes through the one place that knows what on means.
func TestPolarity(t *testing.T) {
	for _, c := range []struct {
		active   Level
		on, high bool
	}{{High, true, true}, {High, false, false}, {Low, true, false}, {Low, false, true}} {
		l := Line{Active: c.active}
		if l.electrical(c.on) != c.high || l.on(c.high) != c.on {
			t.Errorf("active %s: on=%v is not high=%v and back", c.active, c.on, c.high)
		}
	}
}

func TestErrno(t *testing.T) {
	for _, e := range []unix.Errno{unix.ENODEV, unix.EBUSY, unix.EPERM, unix.EINVAL, unix.EIO} {
		if got := errno(errors.New("LineSetFromConfig: " + e.Error())); !errors.Is(got, e) {
			t.Errorf("%v came back as %v", e, got)
		}
	}
	if other := errors.New("something else"); errno(other) != other || errno(nil) != nil {
		t.Error("an error that is no error number was changed")
	}
}
