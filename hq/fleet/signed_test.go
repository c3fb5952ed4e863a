package fleet

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"sync"
	"testing"

	"github.com/lintel-access/lintel/sync/wire"
)

// signed is a ledger that knows by which command each kiosk has signed that it stands.
type signed struct {
	mu   sync.Mutex
	seq  map[[32]byte]uint64
	link map[[32]byte][32]byte
	met  map[[32]byte]bool  // whose records are waited for
	hurt map[[32]byte]error // whose cannot be opened
}

func (s *signed) Meet(kiosk [32]byte, _, _ *ecdsa.PublicKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.hurt[kiosk]; err != nil {
		return err
	}
	s.met[kiosk] = true
	return nil
}

func (s *signed) Part(kiosk [32]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.met, kiosk)
	return nil
}

func (s *signed) waitsFor(k *double) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.met[k.id]
}

func (s *signed) Ingest([32]byte, wire.Records) (*wire.Acknowledge, error) { return nil, nil }

func (s *signed) Applied(kiosk [32]byte) (uint64, [32]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seq[kiosk], s.link[kiosk], nil
}

// sign has a kiosk sign for where it stands.
func (k *double) sign(s *signed) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq[k.id], s.link[k.id] = k.seq, k.head
}

// newSignedHouse is a house with such a ledger.
func newSignedHouse(t *testing.T) (*house, *signed) {
	t.Helper()
	h, s := newHouse(t, false), &signed{seq: map[[32]byte]uint64{}, link: map[[32]byte][32]byte{}, met: map[[32]byte]bool{}, hurt: map[[32]byte]error{}}
	h.stop()
	h.ledger = s
	h.start(false)
	return h, s
}

func key(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
