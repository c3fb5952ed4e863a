// Package board is what differs from one piece of hardware to the next, as data: one strictly checked JSON file a board revision.
// docs/BOARDS.md explains every field. It imports nothing of ours: whoever reads a field turns it into its own types.
package board

import (
	"fmt"
	"time"
)

// Board describes one board revision. Only Parse and Load make a checked one.
type Board struct {
	Name     string   `json:"name"`     // also the name of its file
	Revision string   `json:"revision"` // of the hardware
	Arch     []string `json:"arch"`     // GOARCH values that it exists in
	// Lab permits what is never right at a real door: simulated lines, loopback cameras, no TPM or a software one, programs that
	// share a uid. Lab boards are not compiled into kiosk images.
	Lab       bool          `json:"lab"`
	Door      Door          `json:"door"`
	Lines     map[Line]Wire `json:"lines"`
	Contact   Circuit       `json:"contact"`
	Camera    Camera        `json:"camera"`
	Lamp      Emitter       `json:"lamp"`
	Inference Inference     `json:"inference"`
	Gallery   Gallery       `json:"gallery"`
	Storage   Storage       `json:"storage"`
	TPM       TPM           `json:"tpm"`
	Clock     Clock         `json:"clock"`
	Watchdog  Watchdog      `json:"watchdog"`
	Programs  Programs      `json:"programs"`
}

// Has reports whether the board wires this line.
func (b Board) Has(l Line) bool {
	_, wired := b.Lines[l]
	return wired
}

// FailMode says what the lock does without power.
type FailMode string

// The fail modes.
const (
	FailSecure FailMode = "fail-secure" // stays locked
	FailSafe   FailMode = "fail-safe"   // lets people out
)

// Door is the lock that the relay drives.
type Door struct {
	FailMode FailMode `json:"fail_mode"`
	// MaxPulse is the longest that the relay may stay on without a fire, in milliseconds. A policy that asks for more is refused.
	MaxPulse Millis `json:"max_pulse_ms"`
}

// Wire is where a line is connected.
type Wire struct {
	Chip     string `json:"chip"`        // gpiochip label, or "twin"
	Pin      int    `json:"pin"`         // offset on that chip
	Active   Level  `json:"active"`      // the electrical level that means on
	Pull     Pull   `json:"pull"`        // inputs: the controller's own resistor; none on outputs
	Debounce Millis `json:"debounce_ms"` // inputs: how long a level must last to count; 0 on outputs
}

// Level is an electrical level.
type Level string

// The levels.
const (
	High Level = "high"
	Low  Level = "low"
)

// Pull is where an input goes that nothing drives.
type Pull string

// The pulls.
const (
	PullNone Pull = "none" // the board has a resistor of its own, or the line is always driven
	PullUp   Pull = "up"
	PullDown Pull = "down"
)

// Circuit is how the door's contact is wired.
type Circuit struct {
	Kind CircuitKind `json:"kind"`
	// Of a supervised one, all zero on a plain one: the ADC at the wire, and its ladder, as drivers/gpio explains it.
	ADC     string `json:"adc"`     // device of the ADC's bus
	Channel int    `json:"channel"` // of the ADC
	PullUp  int    `json:"pull_up_ohm"`
	Series  int    `json:"series_ohm"`
	Across  int    `json:"across_ohm"`
	Percent int    `json:"tolerance_percent"` // of resistors, wires and ADC together
}

// CircuitKind says whether a bridged or a cut wire is told from a closed or an open door.
type CircuitKind string

// The kinds of circuit.
const (
	PlainContact      CircuitKind = "plain"      // the line "contact"
	SupervisedContact CircuitKind = "supervised" // a resistor ladder and an ADC; there is no line "contact"
)

// Camera is the one camera of the board.
type Camera struct {
	Kind     CameraKind `json:"kind"`
	Device   string     `json:"device"` // /dev/video*, empty: found by Bus
	Bus      string     `json:"bus"`    // the bus_info that V4L2 reports or the USB port, either of which pins the port; empty in a lab alone
	Format   string     `json:"format"` // V4L2 fourcc as text: GREY, Y10, Y12 or Y16
	Width    int        `json:"width"`  // pixels
	Height   int        `json:"height"` // pixels
	FPS      int        `json:"fps"`
	Exposure int        `json:"exposure_us"`       // of one frame, in microseconds; 0: a quarter of the interval
	Gain     int        `json:"gain"`              // in the camera's own unit
	GainMost int        `json:"gain_most"`         // the most that may be chosen where there is little light, in the same unit, in which twice as much is twice as bright; 0: gain stands still
	Infrared bool       `json:"infrared_required"` // refuse a camera without evidence that it sees infrared
	Loopback bool       `json:"loopback_allowed"`  // accept v4l2loopback and vivid: lab only
}

// CameraKind says where frames come from.
type CameraKind string

// The kinds of camera.
const (
	CameraTwin CameraKind = "twin" // the simulated board: lab only
	CameraV4L2 CameraKind = "v4l2"
)

// Emitter is the infrared light: one lamp, or two of a kind that are switched one by one.
type Emitter struct {
	Count   int    `json:"count"`            // 1, or 2: then the line "lamp" is left in the picture, and "lamp-2" right
	Settle  Millis `json:"settle_ms"`        // from the switched line to full light
	MaxDuty int    `json:"max_duty_percent"` // eye safety (IEC 62471) at the nearest place where somebody can stand, all lamps together
	MaxOn   Millis `json:"max_on_ms"`        // the longest that a lamp may be lit without a pause
}

// Inference is what the models run on.
type Inference struct {
	Threads int `json:"threads"` // of each ONNX Runtime session
	// Providers in the order of preference. The runtime's own CPU provider stands behind the last and is not listed.
	Providers []Provider `json:"providers"`
}

// Provider is an execution provider of ONNX Runtime.
type Provider struct {
	Name    string            `json:"name"`
	Options map[string]string `json:"options"`
	Library string            `json:"library"` // absolute path of a plugin library; empty when the runtime has the provider itself
	SHA256  string            `json:"sha256"`  // of the library, 64 lower-case hexadecimal digits
}

// Gallery is how many references fit into locked memory.
type Gallery struct {
	References int `json:"references"` // 512 float32 each: 2 KiB
}

// Storage is the budget on the writable partition.
type Storage struct {
	Budget int `json:"budget_mib"`
}

// TPM is how the TPM is reached, and what binds its objects to this processor.
type TPM struct {
	Transport Transport `json:"transport"`
	SPI       SPI       `json:"spi"` // all zero with another transport
	CPUSecret CPUSecret `json:"cpu_secret"`
}

// SPI is where a chip is that the kernel has no driver for. It must be alone on its bus (drivers/tpm/tis says why).
type SPI struct {
	Bus        int `json:"bus"`
	ChipSelect int `json:"chip_select"`
	Hz         int `json:"hz"` // the fastest that wires and chip bear
}

// Device is the file that the TPM is opened by, empty where it answers on a socket.
func (t TPM) Device() string {
	switch t.Transport {
	case TPMRM0:
		return "/dev/tpmrm0"
	case TPMSPI:
		return fmt.Sprintf("/dev/spidev%d.%d", t.SPI.Bus, t.SPI.ChipSelect)
	}
	return ""
}

// Clock is what keeps the time of day while the power is off.
type Clock struct {
	RTC string `json:"rtc"` // the kernel's driver of it, the first word of /sys/class/rtc/rtc0/name; "none": no such clock
}

// NoRTC is the name of no clock.
const NoRTC = "none"

// Watchdog is the hardware that resets a machine whose first process has stopped.
type Watchdog struct {
	Device  string `json:"device"`    // empty: none, in a lab alone
	Timeout int    `json:"timeout_s"` // after the last feed; 0 without a device
}

// CPUSecret is a secret of the processor that no other code than ours can read. Without one, whoever boots a system of their own on the whole box
// can use the TPM as the kiosk does (docs/THREAT_MODEL.md).
type CPUSecret string

// The kinds of it.
const (
	NoCPUSecret CPUSecret = "none"
	RPiOTP      CPUSecret = "rpi-otp" // the 256-bit private key in the one-time-programmable memory of a Raspberry Pi
)

// Transport of TPM commands.
type Transport string

// The transports.
const (
	TPMRM0 Transport = "tpmrm0" // the kernel's resource manager, /dev/tpmrm0
	TPMSPI Transport = "spi"    // a chip that the kernel has no driver for
	SWTPM  Transport = "swtpm"  // lab only
)

// Programs is who the programs run as and where they meet.
type Programs struct {
	RunDir string `json:"run_dir"` // of the sockets, absolute; empty: the supervisor makes one
	Users  Users  `json:"users"`
}

// Users are the uids of the programs; 0 is the supervisor's own, which only a lab may have.
type Users struct {
	Eye  int `json:"eye"`
	Door int `json:"door"`
	Link int `json:"link"`
}

// Millis is a time in milliseconds.
type Millis int

// Duration is m as Go counts time.
func (m Millis) Duration() time.Duration { return time.Duration(m) * time.Millisecond }
