package wire

import (
	"crypto/ecdh"
	"crypto/hpke"
	"fmt"
)

// Sealing says for whom and for what something is sealed. Whoever opens it must expect the same, so that nothing sealed for one place can be put into
// another.
type Sealing struct {
	_        struct{} `cbor:",toarray"`
	Kiosk    [32]byte
	Kind     Kind
	Seq      uint64
	Exchange uint32
}

func (s Sealing) info() ([]byte, error) {
	data, err := Marshal(s)
	return append([]byte("lintel seal 1\x00"), data...), err
}

// The suite: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM (RFC 9180). P-256 is what TPMs have.

// Seal encrypts to the key of one kiosk (HPKE, base mode).
func (s Sealing) Seal(to *ecdh.PublicKey, plain []byte) ([]byte, error) {
	sealed, err := s.seal(to, plain)
	if err != nil {
		return nil, fmt.Errorf("seal %v: %w", s.Kind, err)
	}
	return sealed, nil
}

func (s Sealing) seal(to *ecdh.PublicKey, plain []byte) ([]byte, error) {
	info, err := s.info()
	if err != nil {
		return nil, err
	}
	public, err := hpke.NewDHKEMPublicKey(to)
	if err != nil {
		return nil, err
	}
	return hpke.Seal(public, hpke.HKDFSHA256(), hpke.AES256GCM(), info, plain)
}

// Open decrypts with the key of this kiosk, which may lie in a TPM. The caller clears what it gets.
func (s Sealing) Open(key ecdh.KeyExchanger, sealed []byte) ([]byte, error) {
	plain, err := s.open(key, sealed)
	if err != nil {
		return nil, fmt.Errorf("open sealed %v: %w", s.Kind, err)
	}
	return plain, nil
}

func (s Sealing) open(key ecdh.KeyExchanger, sealed []byte) ([]byte, error) {
	info, err := s.info()
	if err != nil {
		return nil, err
	}
	private, err := hpke.NewDHKEMPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), info, sealed)
}

// Orders encodes the orders of a command for sealing; the caller clears it.
func Orders(orders [][]byte) ([]byte, error) { return Marshal(orders) }

// ParseOrders reads what Orders wrote.
func ParseOrders(data []byte) (orders [][]byte, err error) {
	if err := Unmarshal(data, &orders); err != nil {
		return nil, err
	}
	if len(orders) == 0 || len(orders) > MaxOrders {
		return nil, fmt.Errorf("%d orders, want 1 to %d", len(orders), MaxOrders)
	}
	return orders, nil
}
