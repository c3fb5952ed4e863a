package main

import (
	"strings"
	"testing"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/firmware/ipc"
	"github.com/lintel-access/lintel/sync/wire"
)

// What link lets fall is refused on record, as what door refuses, and headquarters reads it there: a release that a broker kept, say. A link gone wild
// fills no log with it.
//
// Control: S8
// Control: U25
func TestWhatLinkDropsIsOnRecord(t *testing.T) {
	c := newCentre(t)
	c.configure("root")
	c.start()
	head := c.audit.Head()
	drop := func(d ipc.Dropped) error { return c.call(ipc.KindDropped, d, nil) }
	if err := drop(ipc.Dropped{Retained: 3, Long: 1}); err != nil {
		t.Fatal(err)
	}
	const want = "dropped by link: 3 retained, 1 too long"
	if r := c.newest(access.EventEnvelopeRefused); r.Detail != want {
		t.Errorf("on record as %q, want %q", r.Detail, want)
	}
	var fetched ipc.Fetched
	if err := c.call(ipc.KindFetch, ipc.Fetch{From: head}, &fetched); err != nil {
		t.Fatal(err)
	}
	got, err := wire.Read[wire.Records](fetched.Report)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, data := range got.Records {
		var r access.Record
		if err := wire.Unmarshal(data, &r); err != nil {
			t.Fatal(err)
		}
		said = append(said, r.Detail)
	}
	if !strings.Contains(strings.Join(said, "\n"), want) {
		t.Errorf("headquarters is sent %q", said)
	}
	if c.link.Send(ipc.KindDropped, ipc.Dropped{}) == nil {
		t.Error("nothing dropped is worth a message")
	}
	for range 3 * comingsBurst {
		if err := drop(ipc.Dropped{Astray: 1, Retained: 1<<32 - 1, Empty: 1, Long: 1, Crowded: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.count(access.EventEnvelopeRefused); n > comingsBurst+2 {
		t.Errorf("a wild link made %d records", n)
	}
	if r := c.newest(access.EventEnvelopeRefused); r.Detail != "dropped by link: 1 for another topic, 4294967295 retained, 1 empty, 1 too long, 1 while too many waited" {
		t.Errorf("on record as %q", r.Detail)
	}
}
