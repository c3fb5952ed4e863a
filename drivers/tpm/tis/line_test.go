//go:build !kiosk

package tis

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lintel-access/lintel/drivers/tpm"
	"periph.io/x/conn/v3/physic"
)

// getRandom is TPM2_GetRandom for eight bytes, and an answer to it (TPM 2.0 part 3, 16.1).
var (
	getRandom = []byte{0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7B, 0, 8}
	random    = []byte{0x80, 0x01, 0, 0, 0, 20, 0, 0, 0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8}
)

// canned is a part that answers every command alike.
func canned() *part { return newPart(func([]byte) []byte { return random }) }

func exchange(l *Line, command []byte) ([]byte, error) {
	if _, err := l.Write(command); err != nil {
		return nil, err
	}
	answer := make([]byte, most)
	n, err := l.Read(answer)
	return answer[:n], err
}

var _ tpm.Line = (*Line)(nil)

func TestAnswerMayBeReadInPieces(t *testing.T) {
	l := must(open(canned().port(), physic.MegaHertz, quick()))(t)
	defer l.Close()
	for range 3 {
		l.SetDeadline(time.Now().Add(time.Second))
		must(l.Write(getRandom))(t)
		got := make([]byte, len(random))
		for i := range got {
			must(io.ReadFull(l, got[i:i+1]))(t)
		}
		if !bytes.Equal(got, random) {
			t.Errorf("got %x", got)
		}
		if _, err := l.Read(got); err == nil {
			t.Error("an answer was read twice")
		}
	}
}

func TestMisuseIsRefused(t *testing.T) {
	p := canned()
	l := must(open(p.port(), physic.MegaHertz, quick()))(t)
	if _, err := exchange(l, getRandom); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("without a deadline: %v", err)
	}
	l.SetDeadline(time.Now().Add(time.Second))
	for _, n := range []int{0, header - 1, most + 1} {
		if _, err := l.Write(make([]byte, n)); err == nil {
			t.Errorf("%d bytes were sent", n)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
	for name, l := range map[string]*Line{"closed": l, "zero": {}} {
		if _, err := exchange(l, getRandom); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := l.Read(make([]byte, most)); err == nil {
			t.Errorf("%s: an answer was read", name)
		}
	}
	if len(p.complaints) > 0 || p.active {
		t.Errorf("the part complains: %q, active %v", p.complaints, p.active)
	}
	o := canned().port()
	o.connected = true
	if _, err := Open(o, physic.MegaHertz); err == nil || !o.closed {
		t.Errorf("a port in use: %v, closed %v", err, o.closed)
	}
}

func TestChipIsNamed(t *testing.T) {
	for id, model := range map[uint32]string{0x001B15D1: "Infineon SLB 9670", 0x001D15D1: "Infineon SLB 9672", 0x0000104A: "ST ST33", 0x32051114: "Microchip ATTPM20P",
		0x12345678: "", 0x001B15D0: ""} {
		p := canned()
		p.identity = id
		l := must(open(p.port(), physic.MegaHertz, quick()))(t) // an unknown chip opens: its pin tells whether it is ours
		c := l.Chip()
		if c.Model() != model || uint32(c.Device)<<16|uint32(c.Vendor) != id || c.Interface != 3 || c.Revision != 0x1B {
			t.Errorf("%08x: %v", id, c)
		}
		l.Close()
	}
	for _, id := range []uint32{0, 1<<32 - 1} {
		p := canned()
		p.identity = id
		if _, err := open(p.port(), physic.MegaHertz, quick()); !errors.Is(err, ErrAbsent) {
			t.Errorf("%08x: %v", id, err)
		}
	}
}

// A chip that is still starting is waited for.
func TestStartingChipIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, mute := range map[string]func(p *part, on bool){
			"holds wait states": func(p *part, on bool) { p.waiting = on },
			"drives nothing":    func(p *part, on bool) { p.dead = map[bool]*byte{true: level(0xFF)}[on] },
		} {
			p := canned()
			mute(p, true)
			start := time.Now()
			p.onByte = func(int) {
				if time.Since(start) > 400*time.Millisecond {
					mute(p, false)
				}
			}
			l, err := Open(p.port(), physic.MegaHertz)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			l.Close()
		}
	})
}

// Wait states beyond what is polled without a pause are sat out, and the chip is not spoken to meanwhile.
func TestLongWaitStatesAreSatOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := canned()
		p.waits = eagerWaits + 100
		l := must(Open(p.port(), physic.MegaHertz))(t)
		l.SetDeadline(time.Now().Add(time.Second))
		if got, err := exchange(l, getRandom); err != nil || !bytes.Equal(got, random) {
			t.Errorf("got %x, %v", got, err)
		}
		l.Close()
		if len(p.complaints) > 0 {
			t.Errorf("the part complains: %q", p.complaints)
		}
	})
}

// A chip that is never quite silent cannot stretch an exchange beyond its deadline.
func TestDrippingChipEndsAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := make([]byte, most)
		copy(long, []byte{0x80, 1, 0, 0, most >> 8, 0})
		p := newPart(func([]byte) []byte { return long })
		l := must(Open(p.port(), physic.MegaHertz))(t)
		p.burst, p.waits = 1, eagerWaits+400 // 40 ms an access
		start := time.Now()
		const deadline = 4 * time.Second // the answer alone would take five minutes
		l.SetDeadline(start.Add(deadline))
		_, err := exchange(l, getRandom)
		if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took > deadline+5*profile().wait {
			t.Errorf("took %v: %v", took, err)
		}
		l.Close()
	})
}

func TestExchangeAllocatesNothing(t *testing.T) {
	p := canned()
	p.in = make([]byte, 0, most)
	l := must(open(p.port(), physic.MegaHertz, quick()))(t)
	defer l.Close()
	answer := make([]byte, most)
	allocs := testing.AllocsPerRun(50, func() {
		l.SetDeadline(time.Now().Add(time.Second))
		if _, err := l.Write(getRandom); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Read(answer); err != nil {
			t.Fatal(err)
		}
	})
	if most := float64(3); allocs > most { // the part's own, which collects the command's bytes
		t.Errorf("%v allocations an exchange", allocs)
	}
}

// The cost on the wire is counted; what it takes in time is computed from it, not measured: no chip was there. To it come the kernel's two calls an
// access and the chip's own time.
func TestCostOnTheWire(t *testing.T) {
	report := func(name string, p *part, most int, do func() error) {
		bytes, messages, accesses := p.bytes, p.messages, p.accesses
		if err := do(); err != nil {
			t.Fatal(err)
		}
		bytes, messages, accesses = p.bytes-bytes, p.messages-messages, p.accesses-accesses
		at := func(megahertz int) time.Duration {
			return time.Duration(bytes) * 8 * time.Microsecond / time.Duration(megahertz)
		}
		t.Logf("%s: %d bytes in %d accesses, %d calls of the kernel; computed: %v at 10 MHz, %v at 33 MHz", name, bytes, accesses, messages, at(10), at(33))
		if bytes > most {
			t.Errorf("%s: %d bytes on the wire, at most %d were expected", name, bytes, most)
		}
	}
	p := canned()
	l := must(open(p.port(), physic.MegaHertz, quick()))(t)
	defer l.Close()
	report("a bare TPM2_GetRandom of 8 bytes", p, 130, func() error {
		l.SetDeadline(time.Now().Add(time.Second))
		_, err := exchange(l, getRandom)
		return err
	})
	r := provisioned(t)
	tp := r.mustOpen()
	report("Random(8): salted session, encrypted", r.part, 700, func() error { _, err := tp.Random(8); return err })
	report("Counter", r.part, 800, func() error { _, err := tp.Counter(tpm.BootCounter); return err })
}

// FuzzBus lets an arbitrary bus answer: nothing hangs, nothing panics, an answer is as long as it says, and when the bus is whole again so are we.
func FuzzBus(f *testing.F) {
	f.Add([]byte{0}, []byte{0}, uint16(0), false)
	f.Add([]byte{0xFF}, []byte{0}, uint16(0), true)
	f.Add([]byte{0, 0, 0, 1}, []byte{0}, uint16(40), false)
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0x80}, []byte{0, 0x40}, uint16(60), false)
	f.Add([]byte{0, 0x10, 0, 0, 0, 0, 8, 0, 0, 0, 0x20}, []byte{0}, uint16(90), false)
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, uint16(100), true)
	f.Fuzz(func(t *testing.T, miso, mosi []byte, from uint16, whole bool) {
		if len(miso) == 0 || len(mosi) == 0 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			p := canned()
			p.flip = func(n int, _, _ byte) (byte, byte) {
				switch i := n - int(from); {
				case i < 0:
					return 0, 0
				case whole: // for ever
					return mosi[i%len(mosi)], miso[i%len(miso)]
				case i < len(miso) && i < len(mosi):
					return mosi[i], miso[i]
				case i < len(miso):
					return 0, miso[i]
				}
				return 0, 0
			}
			by := profile()
			start := time.Now()
			if l, err := Open(p.port(), physic.MegaHertz); err == nil {
				l.SetDeadline(time.Now().Add(time.Second))
				if answer, err := exchange(l, getRandom); err == nil && (len(answer) < header || len(answer) != int(answer[4])<<8|int(answer[5])) {
					t.Errorf("answer %x", answer)
				}
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}
			if most := 2*by.a + 4*by.b + time.Second + time.Second; time.Since(start) > most {
				t.Errorf("took %v", time.Since(start))
			}
			p.heal()
			p.identity, p.complaints = 0x001B15D1, nil
			l, err := Open(p.port(), physic.MegaHertz)
			if err != nil {
				t.Fatalf("afterwards: %v", err)
			}
			l.SetDeadline(time.Now().Add(time.Second))
			if answer, err := exchange(l, getRandom); err != nil || !bytes.Equal(answer, random) {
				t.Errorf("afterwards: %x, %v", answer, err)
			}
			l.Close()
			if len(p.complaints) > 0 {
				t.Errorf("the part complains: %q", p.complaints)
			}
		})
	})
}
