package fleet

import (
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lintel-access/lintel/sync/wire"
)

// State says what headquarters has to do with a kiosk. The zero State is nothing.
//
//	introduced ─► Active ⇄ Quarantined
//	                 └──┬──────┘
//	                    ├─► Replaced (another kiosk has its door)
//	                    └─► Removed
type State uint8

// Append only.
const (
	Active      State = 1
	Quarantined State = 2 // it may connect and hand in what it has recorded; it is told nothing
	Replaced    State = 3 // it may not connect
	Removed     State = 4 // it may not connect
)

// String is the word for the state.
func (s State) String() string {
	switch s {
	case Active:
		return "active"
	case Quarantined:
		return "quarantined"
	case Replaced:
		return "replaced"
	case Removed:
		return "removed"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Kiosk is what headquarters keeps of one.
type Kiosk struct {
	ID          [32]byte `cbor:"1,keyasint"`
	Door        string   `cbor:"2,keyasint"`
	State       State    `cbor:"3,keyasint"`
	Why         string   `cbor:"4,keyasint"` // it is not active
	Introduced  int64    `cbor:"5,keyasint"` // Unix seconds, as all times here
	Attestation []byte   `cbor:"6,keyasint"` // SubjectPublicKeyInfo, as all keys here
	Release     []byte   `cbor:"7,keyasint"`
	Audit       []byte   `cbor:"8,keyasint"`
	TLS         []byte   `cbor:"9,keyasint"`
	Exchange    Exchange `cbor:"10,keyasint"`
	Issued      int64    `cbor:"11,keyasint"` // its newest certificate
	Known       Standing `cbor:"12,keyasint"`
	Queue       uint64   `cbor:"13,keyasint"` // how many of the orders about people it was given, or did not need
}

// Exchange is the key that content for a kiosk is sealed to, which its TPM attests.
type Exchange struct {
	Number uint32 `cbor:"1,keyasint"`
	Key    []byte `cbor:"2,keyasint"`
	Since  int64  `cbor:"3,keyasint"`
}

// Standing is what a kiosk said it stood at when that last changed. It says so itself: proof is in its records.
type Standing struct {
	Seen   int64    `cbor:"1,keyasint"`
	Seq    uint64   `cbor:"2,keyasint"`
	Trust  uint64   `cbor:"3,keyasint"`
	Policy uint64   `cbor:"4,keyasint"`
	Boot   uint64   `cbor:"5,keyasint"`
	Bundle [32]byte `cbor:"6,keyasint"`
	Door   string   `cbor:"7,keyasint"`
}

// Name is what the kiosk is called on the wire.
func (k Kiosk) Name() string { return wire.Name(k.ID) }

// keeps refuses another door than the one that the kiosk has: it takes one name for it, once, and counts as cut off where it is told another. Until it has
// greeted nobody knows that it was told one, and a slip at its introduction is mended here.
func (k Kiosk) keeps(door string) error {
	if has := k.Known.Door; has != "" && door != has && door != k.Door {
		return fmt.Errorf("this kiosk has door %q, which it keeps as long as it is provisioned: say -door %[1]s; for another door it is provisioned anew", has)
	}
	return nil
}

func spki(public *ecdsa.PublicKey) ([]byte, error) {
	if public == nil {
		return nil, errors.New("no key")
	}
	return x509.MarshalPKIXPublicKey(public)
}

// desk is where one kiosk is dealt with. What is below mu is used under it.
type desk struct {
	name string

	pace    pace        // of what the kiosk sends; used by the receiving goroutine alone
	flooded atomic.Bool // it sent too much, which nobody has been told yet
	logged  oneASecond  // lines about what it sends
	failed  oneASecond  // lines about what could not be done for it, which no kiosk may talk away

	mu        sync.Mutex
	kiosk     Kiosk
	revision  uint64        // of kiosk in the store
	noted     time.Time     // when what it stands at was stored last
	head      *entry        // newest of its stream; nil: not read yet, and with Seq 0 there is none
	greeting  wire.Greeting // the last that agrees with what headquarters gave
	claimed   wire.Greeting // the last of all
	stored    time.Time     // when the broker took what is being heard; zero: nobody can tell
	greeted   time.Time     // when the last greeting was said; zero: none was heard since the start
	online    time.Time     // since when it greets without a break
	sent      uint64        // newest command that is on its way
	sentAt    time.Time
	tries     int               // since it last greeted
	busy      bool              // what is to be sent could not be read
	all       uint64            // newest command when it was last begun to give everybody anew; 0: not since the start
	restored  uint64            // revision of the mark that headquarters was restored and has not heard since where it stands; 0: there is none
	presented *x509.Certificate // at its last connection; nil: not seen
	asks      map[[16]byte]chan wire.Challenge
	answers   map[[32]byte]chan string // why a kiosk refuses what it was handed, by the hash of that
	asked     time.Time                // for an exchange key
	alarms    map[Kind]Alarm

	handed         *handed // nil: not read yet
	handedRevision uint64  // of it in the store
	anew           anew
}

const (
	// away is how long after its last greeting a kiosk counts as offline: two greetings, and some.
	away = 150 * time.Second
)

func (d *desk) isOnline(now time.Time) bool { return !d.greeted.IsZero() && now.Sub(d.greeted) < away }

// oneASecond is when the last line of its kind was logged, Unix seconds: no kiosk fills the disk.
type oneASecond struct{ at atomic.Int64 }

// may reports whether such a line may be logged now.
func (l *oneASecond) may(now time.Time) bool {
	was, is := l.at.Load(), now.Unix()
	return is != was && l.at.CompareAndSwap(was, is)
}

// pace bounds how many messages of one kiosk are looked at.
type pace struct {
	left float64
	at   time.Time
}

const (
	perSecond = 100 // messages; a kiosk's link sends 66 at most with records, and one that catches up a greeting for each command besides
	burst     = 400
)

// take reports whether one more message is within the pace.
func (p *pace) take(now time.Time) bool {
	if p.at.IsZero() {
		p.left = burst
	} else if d := now.Sub(p.at); d > 0 {
		p.left = min(burst, p.left+d.Seconds()*perSecond)
	}
	p.at = now
	if p.left < 1 {
		return false
	}
	p.left--
	return true
}
