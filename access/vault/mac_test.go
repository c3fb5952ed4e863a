package vault

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"testing"
)

// mac is the HMAC that FORMAT.md names, however its message is cut.
func TestMacIsHMAC(t *testing.T) {
	key := [32]byte{0: 1, 15: 0x36, 31: 0x5c}
	for size := range 3 * sha256.BlockSize {
		message := bytes.Repeat([]byte{byte(size)}, size)
		want := hmac.New(sha256.New, key[:])
		want.Write(message)
		if got := mac(&key, message[:size/3], message[size/3:]); !hmac.Equal(got[:], want.Sum(nil)) {
			t.Errorf("message of %d bytes: %x", size, got)
		}
	}
	if key != [32]byte{0: 1, 15: 0x36, 31: 0x5c} {
		t.Error("the key was changed")
	}
}
