//go:build !kiosk

package tpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

func counters() []Index {
	var all []Index
	for _, e := range table {
		if e.counter {
			all = append(all, e.index)
		}
	}
	return all
}

func TestCountersRiseByOneAndSurviveRestarts(t *testing.T) {
	b := newBoard(t)
	last := map[Index]uint64{}
	for range 3 {
		tp := b.open()
		for _, i := range counters() {
			before := must(tp.Counter(i))(t)
			if last[i] != 0 && before != last[i] {
				t.Errorf("%v: %d before the restart, %d after", i, last[i], before)
			}
			after := must(tp.Raise(i))(t)
			if after != before+1 || must(tp.Counter(i))(t) != after {
				t.Errorf("%v: raised from %d to %d", i, before, after)
			}
			last[i] = after
		}
		tp.Close()
		b.restart()
	}
}

func TestCounterMadeAgainStartsAboveAll(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	var highest uint64
	for range 5 {
		highest = must(tp.Raise(VaultVersion))(t)
	}
	tp.Close()
	b.restart()
	w := b.bare()
	e := must(entryOf(VaultVersion))(t)
	if _, err := (tpm2.NVUndefineSpace{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(b.secrets.auth("owner"))},
		NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(VaultVersion), Name: e.name(true)},
	}).Execute(w); err != nil {
		t.Fatal(err)
	}
	w.Close()
	b.restart()
	tp = b.open()
	if _, err := tp.Counter(VaultVersion); !errors.Is(err, ErrOtherTPM) {
		t.Errorf("counter that is gone: %v", err)
	}
	tp.Close()
	b.provision()
	if n := must(b.open().Counter(VaultVersion))(t); n <= highest {
		t.Errorf("was %d, made again %d", highest, n)
	}
}

func TestIndexOfOtherAttributesIsNotBelieved(t *testing.T) {
	b := newBoard(t)
	w := b.bare()
	e := must(entryOf(VaultVersion))(t)
	owner := func() tpm2.AuthHandle {
		return tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(b.secrets.auth("owner"))}
	}
	if _, err := (tpm2.NVUndefineSpace{AuthHandle: owner(), NVIndex: tpm2.NamedHandle{Handle: tpm2.TPMHandle(VaultVersion), Name: e.name(true)}}).Execute(w); err != nil {
		t.Fatal(err)
	}
	ordinary := e.public(false)
	ordinary.Attributes.NT = tpm2.TPMNTOrdinary // can be written back to yesterday's number
	auth := derive(b.options.CPUSecret, "lintel/tpm/object/v1/nv")
	if _, err := (tpm2.NVDefineSpace{AuthHandle: owner(), Auth: tpm2.TPM2BAuth{Buffer: auth}, PublicInfo: tpm2.New2B(ordinary)}).Execute(w); err != nil {
		t.Fatal(err)
	}
	name := must(tpm2.NVName(&ordinary))(t)
	h := tpm2.TPMHandle(VaultVersion)
	if _, err := (tpm2.NVWrite{AuthHandle: tpm2.AuthHandle{Handle: h, Name: *name, Auth: tpm2.PasswordAuth(auth)},
		NVIndex: tpm2.NamedHandle{Handle: h, Name: *name}, Data: tpm2.TPM2BMaxNVBuffer{Buffer: make([]byte, 8)}}).Execute(w); err != nil {
		t.Fatal(err)
	}
	w.Close()
	tp := b.open()
	if n, err := tp.Counter(VaultVersion); !errors.Is(err, ErrSecret) {
		t.Errorf("got %d, %v", n, err)
	}
	tp.Close()
	if _, err := Provision(b.process.Socket(), b.secrets, b.options); !errors.Is(err, ErrOwned) {
		t.Errorf("provision: %v", err)
	}
}

func TestTheTableIsStable(t *testing.T) {
	want := map[Index]string{0x01804C00: "floor", 0x01804C01: "vault", 0x01804C02: "audit checkpoints", 0x01804C03: "boot", 0x01804C04: "checkpoint"}
	if len(table) != len(want) {
		t.Errorf("table has %d lines", len(table))
	}
	for i, words := range want {
		if !strings.Contains(i.String(), words) {
			t.Errorf("%#x is %q", uint32(i), i)
		}
	}
	// An approval binds the floor's Name: another attribute here and no board in the field opens its vault.
	const golden = "000b468ad105ce33dbf601d610582ce26d17fede8160f11291b5a8cf6c28fdb98b73"
	if got := must(entryOf(FirmwareFloor))(t).name(true); hex.EncodeToString(got.Buffer) != golden {
		t.Errorf("floor's name is %x", got.Buffer)
	}
}

func TestOnlyCountersCount(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	for _, i := range []Index{AuditAnchor, 0, 0x01804CFF} {
		if _, err := tp.Counter(i); err == nil {
			t.Errorf("%#x was read", uint32(i))
		}
		if _, err := tp.Raise(i); err == nil {
			t.Errorf("%#x was raised", uint32(i))
		}
	}
}

func TestAnchorKeepsWhatWasWrittenLast(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	if a := must(tp.ReadAnchor())(t); a != nil {
		t.Errorf("fresh anchor is %x", a)
	}
	for _, n := range []int{AnchorSize, 1, 40} {
		want := bytes.Repeat([]byte{byte(n)}, n)
		if err := tp.WriteAnchor(want); err != nil {
			t.Fatal(err)
		}
		tp.Close()
		b.restart()
		tp = b.open()
		if a := must(tp.ReadAnchor())(t); !bytes.Equal(a, want) {
			t.Errorf("wrote %x, read %x", want, a)
		}
	}
	for _, n := range []int{0, AnchorSize + 1} {
		if err := tp.WriteAnchor(make([]byte, n)); err == nil {
			t.Errorf("%d bytes were written", n)
		}
	}
}

func TestPCRsExtendAndStartAgain(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	digest := sha256.Sum256([]byte("image"))
	for pcr := PCRImage; pcr <= PCRDebug; pcr++ {
		before := must(tp.Read(pcr))(t)[0]
		if before != (PCR{Index: pcr}) {
			t.Errorf("pcr %d starts at %x", pcr, before.Value)
		}
		if err := tp.Extend(pcr, digest); err != nil {
			t.Fatal(err)
		}
		if after := must(tp.Read(pcr))(t)[0]; after != before.Extended(digest) {
			t.Errorf("pcr %d is %x, predicted %x", pcr, after.Value, before.Extended(digest).Value)
		}
	}
	for _, pcr := range []int{-1, 0, 7, 10, 15, 16, 23, 24} {
		if err := tp.Extend(pcr, digest); err == nil {
			t.Errorf("pcr %d was extended", pcr)
		}
	}
	if _, err := tp.Read(24); err == nil {
		t.Error("pcr 24 was read")
	}
	tp.Close()
	b.restart()
	if p := must(b.open().Read(PCRImage))(t)[0]; p != (PCR{Index: PCRImage}) {
		t.Errorf("after a restart: %x", p.Value)
	}
}

func TestRandomIsDrawn(t *testing.T) {
	tp := newBoard(t).open()
	a, b := must(tp.Random(32))(t), must(tp.Random(32))(t)
	if len(a) != 32 || bytes.Equal(a, b) {
		t.Errorf("drew %x, %x", a, b)
	}
	for _, n := range []int{-1, 0, 33} {
		if _, err := tp.Random(n); err == nil {
			t.Errorf("drew %d bytes", n)
		}
	}
}
