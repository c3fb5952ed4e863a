package tis

import (
	"fmt"
	"time"
)

// The registers of locality 0: PTP 1.04, 6.5.2. Localities above 0 are for whoever may reset PCRs 17 to 22; a kiosk has no such party.
const (
	regAccess       = 0x0000
	regCapability   = 0x0014 // TPM_INTF_CAPABILITY
	regStatus       = 0x0018
	regStatusCancel = regStatus + 3 // the byte that holds commandCancel
	regFIFO         = 0x0024
	regIdentity     = 0x0F00 // TPM_DID_VID
	regRevision     = 0x0F04
)

// access is the register of that name.
type access byte

const (
	accessValid   access = 0x80
	accessActive  access = 0x20 // written: gives the locality up
	accessRequest access = 0x02
	accessZero    access = 0x48 // reserved, and seize, which is written only
)

func (a access) valid() bool { return a&(accessValid|accessZero) == accessValid }

// status is the register of that name, as it is read.
type status uint32

const (
	statusValid   status = 0x80
	statusReady   status = 0x40 // written: makes ready, or aborts
	statusGo      status = 0x20 // written only
	statusData    status = 0x10
	statusExpect  status = 0x08
	statusAgain   status = 0x02 // written only: responseRetry
	statusZero           = statusGo | statusAgain | 0x01
	commandCancel        = 0x01 // in the byte of regStatusCancel
)

func (s status) burst() int        { return int(s >> 8 & 0xFFFF) }
func (s status) has(b status) bool { return s&b == b }

// limits are the longest times that each step of the protocol may take; the command itself has the caller's deadline.
type limits struct {
	a, b, c, wait time.Duration
}

// profile is what PTP 1.04 (6.5.1.3) and edk2 allow: A 750 ms, B 2 s, C 200 ms. D (30 ms, for a burst count above 0) is A here, as in Linux.
// PTP names no limit for wait states; Linux gives up after 50 bytes, which a pre-empted reader would pass by chance.
func profile() limits {
	return limits{a: 750 * time.Millisecond, b: 2 * time.Second, c: 200 * time.Millisecond, wait: 50 * time.Millisecond}
}

// Chip is what a TPM says that it is. Nothing proves it: the pin of package tpm does.
type Chip struct {
	Vendor, Device uint16 // of TPM_DID_VID
	Revision       uint8
	Interface      uint8 // version in TPM_INTF_CAPABILITY: 3 is the FIFO interface of a TPM 2.0
}

// Model is the chip's name, empty for one that is not on our list: a reason to warn, not to refuse.
func (c Chip) Model() string {
	switch uint32(c.Device)<<16 | uint32(c.Vendor) {
	case 0x001B15D1:
		return "Infineon SLB 9670"
	case 0x001D15D1:
		return "Infineon SLB 9672"
	case 0x0000104A:
		return "ST ST33"
	case 0x32051114:
		return "Microchip ATTPM20P"
	}
	return ""
}

func (c Chip) String() string {
	model := c.Model()
	if model == "" {
		model = "unknown chip"
	}
	return fmt.Sprintf("%s (vendor %04x, device %04x, revision %02x, interface %d)", model, c.Vendor, c.Device, c.Revision, c.Interface)
}

// piece is how many bytes the chip takes in one access: the field dataTransferSizeSupport of TPM_INTF_CAPABILITY.
func piece(capability uint32) int {
	return [...]int{1, 8, 32, frameData}[capability>>9&3]
}
