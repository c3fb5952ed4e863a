//go:build !kiosk

package tis

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lintel-access/lintel/drivers/tpm"
	"periph.io/x/conn/v3/physic"
)

// faults are what a bus or a chip can do to us. Where told is nil, the operation must work all the same.
var faults = map[string]struct {
	begin func(*rig)
	told  error  // what the error must be, in the middle of a command
	says  string // and what its text must say
}{
	"no chip, line high":         {func(r *rig) { r.dead = level(0xFF) }, tpm.ErrSilent, "await command ready"},
	"no chip, line low":          {func(r *rig) { r.dead = level(0) }, tpm.ErrSilent, "wait states"},
	"wait states without end":    {func(r *rig) { r.waiting = true }, tpm.ErrSilent, "wait states"},
	"burst count 0 for ever":     {func(r *rig) { r.noBurst = true }, tpm.ErrSilent, "await burst count"},
	"status never valid":         {func(r *rig) { r.noValid = true }, tpm.ErrSilent, "await command ready"},
	"never ready":                {func(r *rig) { r.noReady = true }, tpm.ErrSilent, "await command ready"},
	"data never available":       {func(r *rig) { r.noData = true }, tpm.ErrSilent, "await data"},
	"expect never falls":         {func(r *rig) { r.deaf = true }, errGarbled, "tpm waits for more"},
	"expect falls early":         {func(r *rig) { r.early = true; r.burst = 5 }, errGarbled, "for a whole command"},
	"answer always ends early":   {func(r *rig) { r.burst, r.cut, r.cuts = 12, 12, 1000 }, errGarbled, "answer ends after"},
	"answer ends early, twice":   {func(r *rig) { r.burst, r.cut, r.cuts = 12, 12, 2 }, nil, ""},
	"answer never ends":          {func(r *rig) { r.more = true }, errGarbled, "answer goes on"},
	"answer announces nonsense":  {func(r *rig) { r.alter(func(a []byte) []byte { a[2] = 0xFF; return a }) }, errGarbled, "announces"},
	"answer is empty":            {func(r *rig) { r.alter(func(a []byte) []byte { return nil }) }, tpm.ErrSilent, "await data"},
	"answer is another's":        {func(r *rig) { r.alter(func(a []byte) []byte { return flipped(r.in, a) }) }, tpm.ErrTampered, ""},
	"reset while idle":           {func(r *rig) { r.part.reset() }, ErrReset, "reset"},
	"reset while it executes":    {func(r *rig) { r.alter(func([]byte) []byte { r.part.reset(); return nil }) }, ErrReset, "reset"},
	"reset while a command goes": {func(r *rig) { r.after(40, r.part.reset) }, ErrReset, "reset"},
	"locality lost":              {func(r *rig) { r.after(60, func() { r.active = false }) }, ErrReset, "reset"},
	"controller breaks":          {func(r *rig) { r.refuseTx = true }, nil, "input/output error"},
	"bursts of one byte":         {func(r *rig) { r.burst = 1 }, nil, ""},
}

// patience is how long a chip may stay silent before that is told, where silence is the fault. What is to work all the same, or to fail for another
// reason, has the usual deadline: a busy machine is no silent chip.
const patience = 400 * time.Millisecond

// flipped changes the last byte, of the HMAC, in the answer to TPM2_NV_Read.
func flipped(command, answer []byte) []byte {
	if bytes.Equal(command[6:header], []byte{0, 0, 1, 0x4E}) {
		answer[len(answer)-1] ^= 1
	}
	return answer
}

func level(b byte) *byte { return &b }

// after does something when n more bytes have gone over the bus.
func (r *rig) after(n int, do func()) {
	at := r.bytes + n
	r.onByte = func(now int) {
		if now == at {
			do()
		}
	}
}

// alter changes the answers of the TPM.
func (r *rig) alter(how func([]byte) []byte) {
	r.execute = func(command []byte) []byte { return how(r.ask(command)) }
}

func (r *rig) heal() {
	r.part.heal()
	r.execute, r.complaints, r.limit = r.ask, nil, 0
}

func TestFaultInTheMiddleIsToldInTimeAndOver(t *testing.T) {
	r := provisioned(t)
	tp := r.mustOpen()
	true_ := must(tp.Raise(tpm.VaultVersion))(t)
	tp.Close()
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			tp := must(r.open())(t)
			if f.told == tpm.ErrSilent {
				r.limit = patience
			}
			f.begin(r)
			start := time.Now()
			n, err := tp.Counter(tpm.VaultVersion)
			if took := time.Since(start); took > patience+time.Second {
				t.Errorf("took %v", took)
			}
			switch {
			case f.told == nil && f.says == "":
				if err != nil || n != true_ {
					t.Errorf("counter is %d, %v", n, err)
				}
			case err == nil || f.told != nil && !errors.Is(err, f.told) || !strings.Contains(err.Error(), f.says):
				t.Errorf("counter is %d, %v", n, err)
			case !errors.Is(err, tpm.ErrTampered):
				if _, err := tp.Counter(tpm.VaultVersion); !errors.Is(err, tpm.ErrUnusable) {
					t.Errorf("afterwards: %v", err)
				}
			}
			if f.told == tpm.ErrSilent && f.says == "await data" && r.state == execution {
				t.Error("the command was not cancelled")
			}
			start = time.Now()
			if err := tp.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("close took %v", took)
			}
			if r.selected && !r.refuseTx {
				t.Error("chip select was left asserted")
			}
			r.heal()
			tp, err = r.open()
			if err != nil {
				t.Fatalf("after the fault: %v", err)
			}
			if n, err := tp.Counter(tpm.VaultVersion); err != nil || n != true_ {
				t.Errorf("after the fault: %d, %v", n, err)
			}
			tp.Close()
			r.content()
		})
	}
}

func TestFaultAtOpenIsToldInTime(t *testing.T) {
	r := provisioned(t)
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			if f.told == tpm.ErrSilent {
				r.options.Deadline = patience
			}
			f.begin(r)
			start := time.Now()
			tp, err := r.open()
			if took := time.Since(start); took > patience+time.Second {
				t.Errorf("took %v", took)
			}
			if err == nil {
				tp.Close()
			}
			// A chip that is reset in the time before we take it is only a chip that was reset.
			harmless := f.told == nil && f.says == "" || name == "reset while idle" || name == "answer is another's"
			if err == nil && !harmless && r.onByte == nil {
				t.Error("it opened")
			}
			if strings.HasPrefix(name, "no chip") && !errors.Is(err, ErrAbsent) {
				t.Errorf("got %v", err)
			}
			r.heal()
			r.options.Deadline = 0
			must(r.open())(t).Close()
			r.content()
		})
	}
}

// With the limits of PTP and in virtual time: a step that never ends is over at its own limit, before a patient caller's deadline.
func TestStepsEndAtTheirLimits(t *testing.T) {
	by := profile()
	for name, c := range map[string]struct {
		begin func(*part)
		limit time.Duration
	}{
		"wait states":   {func(p *part) { p.waiting = true }, by.wait},
		"burst count":   {func(p *part) { p.noBurst = true }, by.a},
		"command ready": {func(p *part) { p.noReady = true }, 2 * by.b},
		"expect":        {func(p *part) { p.deaf = true }, 0},
		"rest of data":  {func(p *part) { p.burst, p.cut, p.cuts = 10, 10, 1000 }, tries * by.c},
		"data":          {func(p *part) { p.noData = true }, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPart(func([]byte) []byte { return append([]byte{0x80, 1, 0, 0, 0, 18, 0, 0, 0, 0}, 0, 6, 1, 2, 3, 4, 5, 6) })
				l := must(open(p.port(), physic.MegaHertz, by))(t)
				c.begin(p)
				start := time.Now()
				l.SetDeadline(start.Add(time.Minute))
				_, err := l.Write([]byte{0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7B, 0, 6})
				if err == nil {
					_, err = l.Read(make([]byte, 18))
				}
				took := time.Since(start)
				if err == nil || took < c.limit || took > c.limit+20*time.Millisecond {
					t.Errorf("took %v of %v: %v", took, c.limit, err)
				}
				start = time.Now()
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				if !p.waiting && p.state != idle && p.state != isReady {
					t.Errorf("the command was left in state %d", p.state)
				}
				if took := time.Since(start); took > 2*by.b+by.wait+20*time.Millisecond {
					t.Errorf("close took %v", took)
				}
			})
		})
	}
}

// Whatever single byte of an operation is flipped, in whichever direction, the operation fails or tells the truth, and the next one is as ever.
func TestFlippedByteOnTheBusIsNeverBelieved(t *testing.T) {
	r := provisioned(t)
	tp := r.mustOpen()
	secret := []byte("thirty-two bytes of a data key..")
	sealed, good := must(tp.Seal(secret))(t), r.approve(tp)
	boot := must(tp.Raise(tpm.BootCounter))(t)
	act := map[string]func() (bool, error){
		"counter": func() (bool, error) { n, err := tp.Counter(tpm.BootCounter); return n == boot, err },
		"unseal":  func() (bool, error) { b, err := tp.Unseal(sealed, good); return bytes.Equal(b, secret), err },
		"raise": func() (bool, error) {
			n, err := tp.Raise(tpm.BootCounter)
			higher := n > boot
			boot = max(boot, n)
			return higher, err
		},
	}
	for name, do := range act {
		before := r.bytes
		if ok, err := do(); !ok || err != nil {
			t.Fatalf("%s, undisturbed: %v", name, err)
		}
		length := r.bytes - before
		told, harmless, n := 0, 0, 0
		for at := 0; at < length; at += 1 + length/40 {
			for _, master := range []bool{true, false} {
				n++
				hit := r.bytes + at
				bit := byte(1) << (n % 8)
				r.flip = func(now int, mosi, miso byte) (byte, byte) {
					switch {
					case now != hit:
						return 0, 0
					case master:
						return bit, 0
					}
					return 0, bit
				}
				r.limit = 250 * time.Millisecond // for flips that silence the chip
				ok, err := do()
				r.flip = nil
				if err == nil && !ok {
					t.Errorf("%s: byte %d of %d flipped (%08b, master %v): a wrong answer was believed", name, at, length, bit, master)
				}
				if err != nil {
					told++
				} else {
					harmless++
				}
				tp.Close()
				r.heal()
				tp = r.mustOpen()
				if m := must(tp.Counter(tpm.BootCounter))(t); m < boot {
					t.Fatalf("%s: counter fell from %d to %d", name, boot, m)
				} else {
					boot = m // a raise whose answer was destroyed
				}
			}
		}
		t.Logf("%s: %d bytes on the bus, %d of them flipped: %d told as an error, %d did no harm", name, length, n, told, harmless)
		if told == 0 || harmless == 0 {
			t.Errorf("%s: %d told, %d harmless: the flips did not reach the bus", name, told, harmless)
		}
	}
}
