package main

import (
	"errors"
	"testing"
	"time"

	"github.com/lintel-access/lintel/board"
	"github.com/lintel-access/lintel/drivers/gpio"
)

// What the board says of a line is what the driver is told, and the relay is off unless the fire input holds it.
func TestChipConfig(t *testing.T) {
	b, err := board.Load("rpi5")
	if err != nil {
		t.Fatal(err)
	}
	cfg := chipConfig(b)
	if len(cfg.Lines) != len(b.Lines) {
		t.Fatalf("%d lines of %d", len(cfg.Lines), len(b.Lines))
	}
	for name, want := range map[board.Line]gpio.Line{
		board.Relay:   {Chip: "pinctrl-rp1", Offset: 17, Kind: gpio.Output, Active: gpio.High, KeepIf: "fire"},
		board.Lamp:    {Chip: "pinctrl-rp1", Offset: 18, Kind: gpio.Output, Active: gpio.High},
		board.REX:     {Chip: "pinctrl-rp1", Offset: 23, Kind: gpio.Input, Active: gpio.Low, Pull: gpio.Up, Debounce: 10 * time.Millisecond},
		board.Contact: {Chip: "pinctrl-rp1", Offset: 22, Kind: gpio.Input, Active: gpio.High, Pull: gpio.Up, Debounce: 30 * time.Millisecond, Alarm: true},
		board.Buzzer:  {Chip: "pinctrl-rp1", Offset: 12, Kind: gpio.Indicator, Active: gpio.High},
	} {
		if got := cfg.Lines[string(name)]; got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if _, err := openChips(b); err == nil {
		t.Error("lines of a chip that this machine does not have were claimed")
	}
	b.Contact.Kind = board.SupervisedContact
	if _, err := openChips(b); !errors.Is(err, errNoADC) {
		t.Errorf("a contact that nobody can read: %v", err)
	}
}
