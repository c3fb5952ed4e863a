//go:build !kiosk

package tpm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

func TestPolicyComputedOfflineIsTheTPMs(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	if err := tp.Extend(PCRModels, [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	p := Policy{PCRs: must(tp.Read(0, PCRImage, PCRModels, 23))(t), Version: 5}
	pcr, nv, err := p.commands()
	if err != nil {
		t.Fatal(err)
	}
	s, end, err := tpm2.PolicySession(tp.wire, tpm2.TPMAlgSHA256, 16, tpm2.Trial())
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	digest := func() []byte {
		return must(tpm2.PolicyGetDigest{PolicySession: s.Handle()}.Execute(tp.wire))(t).PolicyDigest.Buffer
	}
	pcr.PolicySession, nv.PolicySession = s.Handle(), s.Handle()
	nv.AuthHandle, _ = tp.nv(FirmwareFloor, nv.NVIndex.(tpm2.NamedHandle).Name)
	must(pcr.Execute(tp.wire))(t)
	must(nv.Execute(tp.wire))(t)
	if want := must(p.Digest())(t); !bytes.Equal(digest(), want[:]) {
		t.Errorf("policy: tpm %x, offline %x", digest(), want)
	}
	key := must(b.options.Authority.public())(t)
	authorize := tpm2.PolicyAuthorize{PolicySession: s.Handle(), ApprovedPolicy: tpm2.TPM2BDigest{Buffer: digest()},
		PolicyRef: tpm2.TPM2BDigest{Buffer: reference(b.options.Authority.Board)}, KeySign: *must(tpm2.ObjectName(&key))(t),
		CheckTicket: tpm2.TPMTTKVerified{Tag: tpm2.TPMSTVerified, Hierarchy: tpm2.TPMRHOwner}}
	must(authorize.Execute(tp.wire))(t)
	must(tpm2.PolicyAuthValue{PolicySession: s.Handle()}.Execute(tp.wire))(t)
	if want := must(b.options.Authority.policy())(t); !bytes.Equal(digest(), want) {
		t.Errorf("object: tpm %x, offline %x", digest(), want)
	}
}

// Control: C14
func TestSecretOpensOnlyInTheApprovedState(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	image := sha256.Sum256([]byte("image 1"))
	if err := tp.Extend(PCRImage, image); err != nil {
		t.Fatal(err)
	}
	secret := []byte("thirty-two bytes of a data key..")
	sealed := must(tp.Seal(secret))(t)
	good := b.approve(tp, 1)

	wrongPCR := b.approvePolicy(Policy{PCRs: []PCR{{Index: PCRImage}}, Version: 1})
	passed := b.approvePolicy(Policy{PCRs: good.Policy.PCRs, Version: 0})
	stranger := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	forged := must(Approve(stranger, good.Policy, good.Board))(t)
	otherBoard := must(Approve(b.release, good.Policy, []byte("board 8")))(t)
	relabelled := otherBoard
	relabelled.Board = good.Board
	moved := good
	moved.Policy.Version = 99
	cut := good
	cut.Signature = good.Signature[:len(good.Signature)-1]
	long := good
	long.Signature = must(asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).Lsh(big.NewInt(1), 300), big.NewInt(1)}))(t)
	negative := good
	negative.Signature = must(asn1.Marshal(struct{ R, S *big.Int }{big.NewInt(-1), big.NewInt(1)}))(t)

	all := []error{ErrPCR, ErrFloor, ErrBoard, ErrForged, ErrOtherTPM, ErrSecret, ErrObject, ErrTampered, ErrSilent}
	for name, c := range map[string]struct {
		approvals []Approval
		want      error
	}{
		"approved":                        {[]Approval{good}, nil},
		"two approvals, the second holds": {[]Approval{wrongPCR, good}, nil},
		"wrong measurement":               {[]Approval{wrongPCR}, ErrPCR},
		"floor has passed":                {[]Approval{passed}, ErrFloor},
		"for another board":               {[]Approval{otherBoard}, ErrBoard},
		"for another board, relabelled":   {[]Approval{relabelled}, ErrForged},
		"signed by a stranger":            {[]Approval{forged}, ErrForged},
		"policy changed after signing":    {[]Approval{moved}, ErrForged},
		"signature cut":                   {[]Approval{cut}, ErrForged},
		"signature too long":              {[]Approval{long}, ErrForged},
		"signature negative":              {[]Approval{negative}, ErrForged},
	} {
		t.Run(name, func(t *testing.T) {
			for range 4 { // a refusal must leave nothing loaded: swtpm has three slots
				got, err := tp.Unseal(sealed, c.approvals...)
				if c.want == nil && (err != nil || !bytes.Equal(got, secret)) {
					t.Fatalf("got %q, %v", got, err)
				}
				for _, e := range all {
					if c.want != nil && errors.Is(err, e) != (e == c.want) {
						t.Fatalf("got %v, want %v", err, c.want)
					}
				}
			}
		})
	}
	for _, n := range [][]Approval{nil, {good, good, good}} {
		if _, err := tp.Unseal(sealed, n...); err == nil {
			t.Errorf("%d approvals opened", len(n))
		}
	}
	// Measured further while it runs: what was open to us a moment ago is shut until the next reset.
	if err := tp.Extend(PCRDebug, image); err != nil {
		t.Fatal(err)
	}
	if _, err := tp.Unseal(sealed, good); !errors.Is(err, ErrPCR) {
		t.Errorf("after a debug measurement: %v", err)
	}
}

// Control: O4
// Control: P4
func TestUpdateMovesTheApprovalForwardAndTheFloorShutsTheOldOne(t *testing.T) {
	b := newBoard(t)
	boot := func(image string) *TPM {
		b.restart()
		tp := b.open()
		if err := tp.Extend(PCRImage, sha256.Sum256([]byte(image))); err != nil {
			t.Fatal(err)
		}
		return tp
	}
	predicted := func(image string, version uint64) Approval {
		return b.approvePolicy(Policy{PCRs: []PCR{PCR{Index: PCRImage}.Extended(sha256.Sum256([]byte(image)))}, Version: version})
	}
	one, two := predicted("image 1", 1), predicted("image 2", 2)
	tp := boot("image 1")
	sealed := must(tp.Seal([]byte("data key")))(t)
	must(tp.Unseal(sealed, one))(t)
	tp.Close()

	tp = boot("image 2") // the trial: both live
	must(tp.Unseal(sealed, one, two))(t)
	tp.Close()
	tp = boot("image 1") // reverted
	must(tp.Unseal(sealed, one, two))(t)
	tp.Close()
	tp = boot("image 2") // confirmed
	if n := must(tp.Raise(FirmwareFloor))(t); n != 2 {
		t.Fatalf("floor is %d", n)
	}
	must(tp.Unseal(sealed, two))(t)
	tp.Close()
	tp = boot("image 1") // yesterday's image, yesterday's approval
	if _, err := tp.Unseal(sealed, one); !errors.Is(err, ErrFloor) {
		t.Errorf("yesterday's firmware: %v", err)
	}
	if _, err := tp.Unseal(sealed, one, two); !errors.Is(err, ErrFloor) || !errors.Is(err, ErrPCR) {
		t.Errorf("yesterday's firmware with both: %v", err)
	}
}

func TestNothingButThePolicyOpensASealedSecret(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	sealed := must(tp.Seal([]byte("data key")))(t)
	good := b.approve(tp, 1)
	auth := tp.auth("sealed")
	err := tp.load(kindSealed(), sealed, func(h tpm2.NamedHandle) error {
		for name, s := range map[string]tpm2.Session{
			"its authorisation alone":               tpm2.PasswordAuth(auth),
			"an hmac session":                       tp.session(auth),
			"an empty policy":                       tpm2.Policy(tpm2.TPMAlgSHA256, 16, func(transport.TPM, tpm2.TPMISHPolicy, tpm2.TPM2BNonce) error { return nil }),
			"an approval without the authorisation": must(tp.satisfy(good, nil))(t),
		} {
			if _, err := (tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: h.Handle, Name: h.Name, Auth: s}}).Execute(tp.wire); err == nil {
				t.Errorf("%s opened it", name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	must(tp.Unseal(sealed, good))(t)
}

func TestObjectOfAnotherAuthorityIsNotUsed(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	sealed := must(tp.Seal([]byte("data key")))(t)
	key := must(tp.CreateKey(Audit))(t)
	good := b.approve(tp, 1)
	tp.Close()
	for name, change := range map[string]func(*Authority){
		"board":       func(a *Authority) { a.Board = []byte("board 8") },
		"release key": func(a *Authority) { a.Release = &must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t).PublicKey },
	} {
		o := b.options
		change(&o.Authority)
		tp, err := Open(b.process.Socket(), o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tp.Unseal(sealed, good); !errors.Is(err, ErrObject) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := tp.AuditKey(key, good); !errors.Is(err, ErrObject) {
			t.Errorf("%s: %v", name, err)
		}
		tp.Close()
	}
	o := b.options
	o.Authority = Authority{}
	tp, err := Open(b.process.Socket(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer tp.Close()
	if _, err := tp.Seal([]byte{1}); err == nil {
		t.Error("sealed without a release key")
	}
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	if _, err := (Authority{Release: &p384.PublicKey}).policy(); err == nil {
		t.Error("a P-384 release key was taken")
	}
}

func TestPoliciesThatSayNothingAreRefused(t *testing.T) {
	b := bareBoard(t)
	for name, p := range map[string]Policy{
		"no pcr":       {},
		"out of range": {PCRs: []PCR{{Index: 24}}},
		"negative":     {PCRs: []PCR{{Index: -1}}},
		"twice":        {PCRs: []PCR{{Index: 11}, {Index: 11}}},
		"out of order": {PCRs: []PCR{{Index: 12}, {Index: 11}}},
	} {
		if _, err := Approve(b.release, p, nil); err == nil {
			t.Errorf("%s was approved", name)
		}
	}
}

func TestSealBounds(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	good := b.approve(tp, 1)
	for _, n := range []int{1, 32, MaxSecret} {
		secret := bytes.Repeat([]byte{7}, n)
		if got := must(tp.Unseal(must(tp.Seal(secret))(t), good))(t); !bytes.Equal(got, secret) {
			t.Errorf("%d bytes came back as %d", n, len(got))
		}
	}
	for _, n := range []int{0, MaxSecret + 1} {
		if _, err := tp.Seal(make([]byte, n)); err == nil {
			t.Errorf("%d bytes were sealed", n)
		}
	}
}

func TestDamagedBlobIsNoOther(t *testing.T) {
	b := newBoard(t)
	tp := b.open()
	good := b.approve(tp, 1)
	secret := []byte("data key")
	sealed := must(tp.Seal(secret))(t)
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1 << (i % 8)
		if got, err := tp.Unseal(bad, good); err == nil || errors.Is(err, ErrTampered) {
			t.Errorf("byte %d: %q, %v", i, got, err)
		}
	}
	for _, bad := range []Blob{nil, sealed[:1], sealed[:len(sealed)-1], append(bytes.Clone(sealed), 0), make(Blob, maxBlob+1)} {
		if _, err := tp.Unseal(bad, good); !errors.Is(err, ErrObject) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
	must(tp.Unseal(sealed, good))(t)
}

// FuzzBlob feeds what could lie on a disk to the parser.
func FuzzBlob(f *testing.F) {
	release := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(f)
	by := Authority{Release: &release.PublicKey}
	policy := must(by.policy())(f)
	for _, k := range []kind{kindSealed(), {"audit", signingTemplate}, {"exchange", exchangeTemplate}} {
		f.Add([]byte(append(tpm2.Marshal(tpm2.New2B(k.template(policy))), 0, 1, 9)))
	}
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, k := range []kind{kindSealed(), {"audit", signingTemplate}, {"exchange", exchangeTemplate}} {
			public, _, contents, err := parse(k, b, by)
			if err == nil && (!bytes.Equal(contents.AuthPolicy.Buffer, policy) || len(public.Bytes()) == 0) {
				t.Errorf("%x was taken for a %s object", b, k.name)
			}
		}
	})
}

// FuzzSignature feeds what could stand in an approval.
func FuzzSignature(f *testing.F) {
	release := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(f)
	f.Add(must(ecdsa.SignASN1(rand.Reader, release, make([]byte, 32)))(f))
	f.Add([]byte{0x30, 0x06, 2, 1, 0x80, 2, 1, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		s, err := tpmSignature(der)
		if err != nil {
			return
		}
		if e, err := s.Signature.ECDSA(); err != nil || len(e.SignatureR.Buffer) != 32 || len(e.SignatureS.Buffer) != 32 {
			t.Errorf("%x became %+v", der, s)
		}
	})
}
