package watchdog

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Flags are the WDIOF_ bits of include/uapi/linux/watchdog.h. In Info they say what the driver can do and report; as a boot status they say why the
// machine was reset.
type Flags uint32

// The flags that something here depends on.
const (
	CardReset  Flags = unix.WDIOF_CARDRESET     // the watchdog has reset the machine
	CanFeed    Flags = unix.WDIOF_KEEPALIVEPING // by WDIOC_KEEPALIVE; all drivers take a written byte
	CanSet     Flags = unix.WDIOF_SETTIMEOUT
	MagicClose Flags = unix.WDIOF_MAGICCLOSE // closing alone does not stop the timer
)

// flagWords are in the order of their bits.
var flagWords = [...]struct {
	flag Flags
	word string
}{
	{unix.WDIOF_OVERHEAT, "overheat"},
	{unix.WDIOF_FANFAULT, "fan fault"},
	{unix.WDIOF_EXTERN1, "external 1"},
	{unix.WDIOF_EXTERN2, "external 2"},
	{unix.WDIOF_POWERUNDER, "power under"},
	{CardReset, "watchdog reset"},
	{unix.WDIOF_POWEROVER, "power over"},
	{CanSet, "settable time-out"},
	{MagicClose, "magic close"},
	{unix.WDIOF_PRETIMEOUT, "pretime-out"},
	{unix.WDIOF_ALARMONLY, "alarm only"},
	{CanFeed, "keep-alive"},
}

// Has reports whether all bits of want are set.
func (f Flags) Has(want Flags) bool { return f&want == want }

// String names the bits; those that have no name are a number.
func (f Flags) String() string {
	if f == 0 {
		return "none"
	}
	var words []string
	for _, w := range flagWords {
		if f.Has(w.flag) {
			words = append(words, w.word)
			f &^= w.flag
		}
	}
	if f != 0 {
		words = append(words, fmt.Sprintf("%#x", uint32(f)))
	}
	return strings.Join(words, ", ")
}
