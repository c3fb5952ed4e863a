package abuse

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"time"

	"filippo.io/age"

	"github.com/lintel-access/lintel/access"
)

// A Picture is one frame of a walk-up as eye measured it.
type Picture struct {
	Seq             uint64
	Stamp, Exposure time.Duration // CLOCK_MONOTONIC of the kiosk; the stamp is the time of the light
	Extracted       bool          // the probe was fused from this frame, too
	// Before says that it is the newest frame before the session in which the face was found: eye knew the face from it. It is the first of a film, if
	// there is one.
	Before bool
	Image  image.Gray
}

// A film, decrypted, is a row of pictures: seq u64 ‖ stamp i64 ‖ exposure i64 ‖ flags u8 ‖ length u32, big-endian, and a PNG of that length.
const (
	pictureHead = 8 + 8 + 8 + 1 + 4
	maxPicture  = 20 << 20 // bytes of one PNG: 4096x4096 that does not compress, and a little
	maxSide     = 4096     // pixels, as of every frame
	maxFilm     = access.MaxFrames + 1

	flagExtracted = 1
	flagBefore    = 2
	// maxPixels bounds all pictures of a film together: 64 of 1920x1080. A PNG of a few bytes can unfold to a whole picture.
	maxPixels = access.MaxFrames * 1920 * 1080
)

// Seal encrypts pictures to reviewers. Their pixels are the caller's to wipe; what PNG and age keep of them while they work is not wiped.
func Seal(reviewers []string, pictures []Picture) ([]byte, error) {
	to, err := Recipients(reviewers)
	if err != nil {
		return nil, err
	}
	var sealed bytes.Buffer
	into, err := age.Encrypt(&sealed, to...)
	if err != nil {
		return nil, fmt.Errorf("seal frames: %w", err)
	}
	// Speed: it runs beside the next walk-up. What the sensor's noise leaves to compress is little either way.
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	var one bytes.Buffer
	defer func() { clear(one.Bytes()[:one.Cap()]) }()
	for i := range pictures {
		p := &pictures[i]
		one.Reset()
		if err := encoder.Encode(&one, &p.Image); err != nil {
			return nil, fmt.Errorf("seal frame %d: %w", p.Seq, err)
		}
		head := binary.BigEndian.AppendUint64(make([]byte, 0, pictureHead), p.Seq)
		head = binary.BigEndian.AppendUint64(head, uint64(p.Stamp))
		head = binary.BigEndian.AppendUint64(head, uint64(p.Exposure))
		head = append(head, p.flags())
		head = binary.BigEndian.AppendUint32(head, uint32(one.Len()))
		_, err := into.Write(head)
		if err == nil {
			_, err = into.Write(one.Bytes())
		}
		if err != nil {
			return nil, fmt.Errorf("seal frames: %w", err)
		}
		if sealed.Len() > MaxFilm {
			break
		}
	}
	if err := into.Close(); err != nil {
		return nil, fmt.Errorf("seal frames: %w", err)
	}
	if sealed.Len() > MaxFilm {
		return nil, fmt.Errorf("seal frames: more than %d bytes", MaxFilm)
	}
	return sealed.Bytes(), nil
}

func (p *Picture) flags() (flags byte) {
	if p.Extracted {
		flags |= flagExtracted
	}
	if p.Before {
		flags |= flagBefore
	}
	return flags
}

// develop is the reverse of Seal.
func develop(sealed io.Reader, as []age.Identity) ([]Picture, error) {
	plain, err := decrypt(sealed, as)
	if err != nil {
		return nil, err
	}
	return readFilm(plain)
}

// readFilm reads pictures to the end. All are of one size.
func readFilm(from io.Reader) (film []Picture, err error) {
	in, room := bufio.NewReader(from), maxPixels
	for {
		var head [pictureHead]byte
		if _, err := io.ReadFull(in, head[:]); errors.Is(err, io.EOF) {
			return film, nil
		} else if err != nil {
			return nil, fmt.Errorf("read picture %d: %w", len(film), err)
		}
		if len(film) == maxFilm {
			return nil, fmt.Errorf("read pictures: more than %d", maxFilm)
		}
		p := Picture{
			Seq: binary.BigEndian.Uint64(head[:]), Stamp: time.Duration(binary.BigEndian.Uint64(head[8:])),
			Exposure: time.Duration(binary.BigEndian.Uint64(head[16:])), Extracted: head[24]&flagExtracted != 0, Before: head[24]&flagBefore != 0,
		}
		n := binary.BigEndian.Uint32(head[25:])
		if p.Stamp < 0 || p.Exposure < 0 || head[24] != p.flags() || p.Before && len(film) > 0 || n > maxPicture {
			return nil, fmt.Errorf("read picture %d: out of bounds", len(film))
		}
		if err := p.decode(io.LimitReader(in, int64(n)), int64(n), room); err != nil {
			return nil, fmt.Errorf("read picture %d: %w", len(film), err)
		}
		room -= len(p.Image.Pix)
		if len(film) > 0 && p.Image.Rect != film[0].Image.Rect {
			return nil, fmt.Errorf("read picture %d: of another size than the first", len(film))
		}
		film = append(film, p)
	}
}

// decode reads a PNG that must end where it is said to. Its size is looked at before its pixels are.
func (p *Picture) decode(from io.Reader, n int64, room int) error {
	data, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	if int64(len(data)) != n {
		return io.ErrUnexpectedEOF
	}
	config, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%q", err.Error())
	}
	if config.Width > maxSide || config.Height > maxSide || config.Width*config.Height > room {
		return fmt.Errorf("%d by %d pixels are too many", config.Width, config.Height)
	}
	decoded, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%q", err.Error())
	}
	gray, ok := decoded.(*image.Gray)
	if !ok {
		return errors.New("not 8-bit gray")
	}
	p.Image = *gray
	return nil
}
