package wire

import "encoding/hex"

// Name is what a kiosk is called on the wire: 32 hexadecimal digits, of the 64 of its id. It is its MQTT client id and the common name of its
// certificate.
func Name(kiosk [32]byte) string { return hex.EncodeToString(kiosk[:16]) }

// The topics of a kiosk. It may write to Up and read Down, and nothing else.
const (
	upTopic   = "/up/msg"
	downTopic = "/down/cmd"
	root      = "lintel/v1/"
)

// Up is the topic on which the kiosk of that name reports.
func Up(name string) string { return root + name + upTopic }

// Down is the topic on which headquarters writes to the kiosk of that name.
func Down(name string) string { return root + name + downTopic }
