//go:build lab

package cuts

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/access/vault"
	"github.com/lintel-access/lintel/tests/lab/plan"
)

// reckoning is what must be true after a cut. It lies outside of the machine and is written when it has been found true; what door acknowledged since, and
// what the wires did, lies in the file Said.
type reckoning struct {
	Seed     uint64
	Boot     int // that found it true
	Said     string
	People   map[string]vault.State // who is not in it was deleted
	Lockdown bool
	Records  uint64 // of the audit log, at least
	Prefix   []byte // hash of the first Hashed records
	Hashed   uint64

	Cuts, Starting, Acknowledged, Under, UnderDone, Released, Held int // for the account
}

const modelFile = plan.Outside + "/model"

func (m *reckoning) load() error {
	text, err := os.ReadFile(modelFile)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, m)
}

// save replaces the file as a whole: the machine may be cut while it is written.
func (m *reckoning) save() error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := os.WriteFile(modelFile+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(modelFile+".new", modelFile)
}

// speak makes the file for what is said from now on. A machine that is lost and boots again has another.
func (m *reckoning) speak(boot int) (*os.File, error) {
	for n := 0; ; n++ {
		f, err := os.OpenFile(filepath.Join(plan.Outside, fmt.Sprintf("said-%d-%d", boot, n)), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		m.Said = filepath.Join(plan.Outside, fmt.Sprintf("said-%d-%d", boot, n))
		return f, err
	}
}

// heard is what was said after the model had been found true.
type heard struct {
	order string // that was begun and not acknowledged; empty: none
	on    bool   // the relay, when the power went
	lines int
}

// hear has the model follow what was said: "try VERB PERSON" and "ok" of each order, "records N" of each status, "relay BOOL" of each change.
func (m *reckoning) hear() (h heard, err error) {
	if m.Said == "" {
		return h, nil
	}
	f, err := os.Open(m.Said)
	if err != nil {
		return h, err
	}
	defer f.Close()
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadString('\n')
		if err != nil { // a line that was cut short was never said
			return h, nil
		}
		h.lines++
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch verb {
		case "try":
			h.order = rest
		case "ok":
			m.apply(h.order)
			h.order = ""
			m.Acknowledged++
		case "records":
			if _, err := fmt.Sscan(rest, &m.Records); err != nil {
				return h, err
			}
		case "relay":
			h.on = rest == "true"
			if h.on {
				m.Released++
			}
		default:
			return h, fmt.Errorf("read what was said: %q", line)
		}
	}
}

// apply does to the model what an order does to the kiosk.
func (m *reckoning) apply(order string) {
	verb, who, _ := strings.Cut(order, " ")
	switch verb {
	case "suspend":
		m.People[who] = vault.Suspended
	case "resume":
		m.People[who] = vault.Active
	case "revoke":
		m.People[who] = vault.Revoked
	case "delete":
		delete(m.People, who)
	case "lockdown":
		m.Lockdown = who == "true"
	}
}

func (m *reckoning) clone() *reckoning {
	c := *m
	c.People = map[string]vault.State{}
	for id, s := range m.People {
		c.People[id] = s
	}
	return &c
}

// differs says how what was found differs from the model; empty: not at all.
func (m *reckoning) differs(found *reckoning) string {
	if found.Lockdown != m.Lockdown {
		return fmt.Sprintf("lockdown is %v, acknowledged was %v", found.Lockdown, m.Lockdown)
	}
	for id, s := range m.People {
		if got, there := found.People[id]; !there || got != s {
			return fmt.Sprintf("%s is %v (there: %v), acknowledged was %v", id, got, there, s)
		}
	}
	for id := range found.People {
		if _, there := m.People[id]; !there {
			return id + " is there again"
		}
	}
	return ""
}

func person(i int) (id access.PersonID) {
	id[0], id[14], id[15] = 1, byte(i>>8), byte(i)
	return id
}
