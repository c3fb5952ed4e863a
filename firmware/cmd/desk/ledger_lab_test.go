//go:build lab

package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/tests/lab/kiosk"
	"github.com/lintel-access/lintel/tests/lab/plan"
)

// ledger is what the kiosk acknowledged, and what its relay did, over all boots: a file outside of the machine to which each line is written before the
// power can go. What the lines add up to is kept beside it.
type ledger struct {
	mu   sync.Mutex
	file *os.File

	seed     uint64
	cuts     map[phase]int
	now      phase // of the boot
	booted   bool
	ready    bool           // the kiosk was, once
	people   map[int]person // by the number in the cast; who is not in it is unknown to door
	order    string         // that was begun and is not acknowledged; empty: none
	mend     int            // to whom the last such order was given, until the kiosk is ready: people.json may not know what became of it
	granted  []access.SessionID
	records  uint64 // of the audit log, at least
	log      kiosk.Log
	relay    bool
	degraded []string
	failed   string

	count map[string]int // of lines, by their first word
}

type person struct {
	id       access.PersonID
	standing access.Standing
}

// phase is what a boot is about when it is cut.
type phase string

const (
	starting  phase = "starting"
	enrolling phase = "enrolling"
	walking   phase = "walking"
)

func newLedger() *ledger {
	return &ledger{cuts: map[phase]int{}, people: map[int]person{}, count: map[string]int{}}
}

const ledgerFile = plan.Outside + "/ledger"

// openLedger reads what was said in the boots of before. A line that was cut short was never said, and nothing was before the kiosk was ready once: a
// machine that is lost while its kiosk is made makes it anew.
func openLedger() (*ledger, error) {
	l := newLedger()
	text, err := os.ReadFile(ledgerFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	whole := text[:strings.LastIndexByte(string(text), '\n')+1]
	for line := range strings.Lines(string(whole)) {
		if err := l.hear(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, fmt.Errorf("read ledger: %q: %w", line, err)
		}
	}
	if !l.ready && l.failed == "" {
		l, whole = newLedger(), nil
	}
	if l.file, err = os.OpenFile(ledgerFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return nil, err
	}
	return l, l.file.Truncate(int64(len(whole)))
}

// say writes a line and takes it in.
func (l *ledger) say(format string, args ...any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	if _, err := l.file.WriteString(line + "\n"); err != nil {
		return err
	}
	return l.hear(line)
}

// hear takes a line in.
func (l *ledger) hear(line string) (err error) {
	word, rest, _ := strings.Cut(line, " ")
	l.count[word]++
	switch word {
	case "seed":
		_, err = fmt.Sscan(rest, &l.seed)
	case "boot":
		if l.booted {
			l.cuts[l.now]++
		}
		l.booted, l.now = true, starting
	case "now":
		l.now = phase(rest)
	case "ready":
		l.ready, l.mend = true, 0
	case "try": // VERB NUMBER ID
		l.order = rest
	case "ok", "done", "undone": // it was acknowledged; or it was not, and is found done or undone after a cut
		var verb string
		if _, err = fmt.Sscan(l.order, &verb, &l.mend); err == nil && word != "undone" {
			err = after(l.people, l.order)
		}
		l.count[word+" "+verb]++
		l.order = ""
	case "records":
		_, err = fmt.Sscan(rest, &l.records)
	case "granted":
		var s access.SessionID
		_, err = fmt.Sscan(rest, &s.Boot, &s.Number)
		l.granted = append(l.granted, s)
	case "log": // as it was found
		var sum string
		if _, err = fmt.Sscan(rest, &l.log.Records, &sum); err == nil {
			l.log.Sum, err = hex.DecodeString(sum)
		}
		l.records, l.granted = l.log.Records, nil
	case "relay":
		l.relay = rest == "on"
		if l.relay {
			l.count["release"]++
		}
	case "degraded":
		l.degraded = append(l.degraded, rest)
	case "failed":
		l.failed = rest
	case "missed": // somebody was not let in or enrolled, because the host was too busy
	default:
		err = errors.New("unknown word")
	}
	return err
}

// after does to people what an order does to the kiosk.
func after(people map[int]person, order string) error {
	var verb, id string
	var n int
	if _, err := fmt.Sscan(order, &verb, &n, &id); err != nil {
		return err
	}
	p := person{standing: access.Permitted}
	var err error
	if p.id, err = access.ParsePersonID(id); err != nil {
		return err
	}
	switch verb {
	case "suspend":
		p.standing = access.Suspended
	case "delete":
		delete(people, n)
		return nil
	}
	people[n] = p
	return nil
}

// differs says how the standings found in the vault differ from people; empty: not at all.
func differs(people map[int]person, found map[access.PersonID]access.Standing) string {
	for n, p := range people {
		if s, there := found[p.id]; !there || s != p.standing {
			return fmt.Sprintf("person %d has standing %d (there: %v), want %d", n, s, there, p.standing)
		}
	}
	if len(found) != len(people) {
		return fmt.Sprintf("%d people are known, want %d", len(found), len(people))
	}
	return ""
}
