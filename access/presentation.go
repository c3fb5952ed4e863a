package access

import "time"

// A Presentation is what eye measured of one walk-up: evidence, never a verdict. It crosses the socket from eye to door as one
// deterministic-CBOR packet (sync/wire) and is checked by door, which does not trust eye.
type Presentation struct {
	Session SessionID `cbor:"1,keyasint"`
	Nonce   [16]byte  `cbor:"2,keyasint"` // echoes the nonce of Observe
	Camera  [32]byte  `cbor:"3,keyasint"` // SHA-256 of the camera's identity, as in Hello
	Bundle  [32]byte  `cbor:"4,keyasint"` // SHA-256 of the model bundle's manifest, as in Hello

	Frames []FrameEvidence `cbor:"5,keyasint"` // in the order of capture, at most MaxFrames

	Probe     []float32 `cbor:"6,keyasint"` // length ProbeSize, L2 norm 1; empty when no frame was good enough
	ProbeFrom uint32    `cbor:"7,keyasint"` // number of frames fused into Probe
	Liveness  float32   `cbor:"8,keyasint"` // learned PAD score, 0 attack .. 1 bona fide, mean over the probe's frames; -1 when absent
	Hint      Hint      `cbor:"9,keyasint"` // why no frame was good enough, when Probe is empty

	// Reflected is the probe of the face in the changing light alone: of what answered the lamp. As Probe; empty when nothing did.
	Reflected []float32 `cbor:"10,keyasint"`
	Sway      float32   `cbor:"11,keyasint"` // standard deviation of the head's place around an even movement, in distances between the eyes
	Flex      float32   `cbor:"12,keyasint"` // standard deviation of the landmarks' places relative to each other, in distances between the eyes
}

// Wipe forgets the probes.
func (p *Presentation) Wipe() {
	clear(p.Probe)
	clear(p.Reflected)
}

// MaxMotion bounds Sway and Flex.
const MaxMotion = 100

// MaxFrames bounds the frames of one Presentation: 64 is 2.1 s at 30 frames a second, above the longest lamp code (26).
const MaxFrames = 64

// Patches is the number of face patches whose lit level is reported: forehead, left cheek, right cheek, nose, chin.
const Patches = 5

// Edges is the number of small patches where the surface of a head turns: the left and the right side of the face, the left and the right flank of the
// nose, its ridge.
const Edges = 5

// FrameEvidence is what eye measured in one frame of a session.
type FrameEvidence struct {
	Seq      uint64        `cbor:"1,keyasint"` // the camera's own count; a gap is a lost frame
	Stamp    time.Duration `cbor:"2,keyasint"` // CLOCK_MONOTONIC at the end of exposure
	Exposure time.Duration `cbor:"3,keyasint"`
	// Chain is SHA-256(previous chain ‖ SHA-256(pixels) ‖ seq ‖ stamp), big-endian; the first link's previous is SHA-256(nonce).
	Chain   [32]byte         `cbor:"4,keyasint"`
	Track   uint32           `cbor:"5,keyasint"` // the face followed across frames; 0 when no face was found
	Box     Box              `cbor:"6,keyasint"` // of that face, pixels
	Level   [Patches]float32 `cbor:"7,keyasint"` // mean gray level of each face patch, 0..255
	Ring    float32          `cbor:"8,keyasint"` // mean gray level of the ring around the face, 0..255
	Texture float32          `cbor:"9,keyasint"` // standard deviation of the face at the pinned scale, gray levels; 0: the face was not found, and is where it was before
	Quality float32          `cbor:"10,keyasint"`
	Hint    Hint             `cbor:"11,keyasint"` // the first quality rule that this frame failed; 0 when it passed
	Faces   uint8            `cbor:"12,keyasint"` // faces found in the frame
	Edge    [Edges]float32   `cbor:"13,keyasint"` // mean gray level where a head turns away from the camera, 0..255
	Taken   float32          `cbor:"20,keyasint"` // how much light the camera took in, normal 1; 0: nobody knows
	Pixels  PixelHash        `cbor:"14,keyasint"`
	// Restless is how much the aligned face differs from the mean of the frames before and after, besides what the lamp explains: median over the
	// face, gray levels; 0 in the first and the last frame; -1 where it was not measured.
	Restless float32 `cbor:"15,keyasint"`
	EyePeak  float32 `cbor:"16,keyasint"` // highest gray level of the eyes, mean of both, 0..255
	EyeLevel float32 `cbor:"17,keyasint"` // mean gray level of the eyes, 0..255
}

// Box is an axis-aligned rectangle in pixels of the frame.
type Box struct {
	X0 float32 `cbor:"1,keyasint"`
	Y0 float32 `cbor:"2,keyasint"`
	X1 float32 `cbor:"3,keyasint"`
	Y1 float32 `cbor:"4,keyasint"`
}

// Hint is a quality reason: what the person can do so that the next frame is better. Zero means that nothing is wrong.
// Hints are shown before the lamp code starts and never after.
type Hint uint8

// Append only: the numbers stand in audit records.
const (
	HintNone      Hint = 0
	HintNobody    Hint = 1 // no face in view
	HintTooFar    Hint = 2
	HintTooClose  Hint = 3
	HintTooDark   Hint = 4
	HintSaturated Hint = 5
	HintBlurred   Hint = 6
	HintTurned    Hint = 7
	HintCutOff    Hint = 8
	HintSeveral   Hint = 9 // several faces and none clearly at the door
)

// String is the short English name, as in "too far".
func (h Hint) String() string {
	names := [...]string{"", "nobody in view", "too far", "too close", "too dark", "too bright", "blurred", "turned away", "cut off", "several faces"}
	if int(h) < len(names) {
		return names[h]
	}
	return "unknown hint"
}
