package worker

import (
	"bytes"
	"encoding/binary"
	"image"
)

// turn says how a photograph lies in its file, by the numbers of EXIF's orientation tag: telephones write what the sensor saw and note how they were
// held. Go's decoder does not look at it, and a face that lies on its side is not found.
type turn uint8

const (
	upright turn = 1
	tilted  turn = 5 // from here on width and height change places
	last    turn = 8
)

// apply sets the image upright.
func (t turn) apply(img *image.Gray) *image.Gray {
	if t <= upright || t > last {
		return img
	}
	w, h := img.Rect.Dx(), img.Rect.Dy()
	outW, outH := w, h
	if t >= tilted {
		outW, outH = h, w
	}
	out := image.NewGray(image.Rect(0, 0, outW, outH))
	for y := range outH {
		for x := range outW {
			u, v := t.source(x, y, w, h)
			out.Pix[y*out.Stride+x] = img.Pix[v*img.Stride+u]
		}
	}
	return out
}

// source is where in a file's image of w by h the pixel (x, y) of the upright one lies.
func (t turn) source(x, y, w, h int) (u, v int) {
	switch t {
	case 2:
		return w - 1 - x, y
	case 3:
		return w - 1 - x, h - 1 - y
	case 4:
		return x, h - 1 - y
	case 5:
		return y, x
	case 6:
		return y, h - 1 - x
	case 7:
		return w - 1 - y, h - 1 - x
	case 8:
		return w - 1 - y, x
	}
	return x, y
}

// orientation reads the tag of a JPEG; upright if there is none that can be read.
func orientation(jpeg []byte) turn {
	const (
		app1, scan    = 0xe1, 0xda
		tag           = 0x0112
		short         = 3  // TIFF's 16-bit number
		entry         = 12 // bytes of an entry
		mostSegments  = 64 // before the picture; a telephone writes under ten
		mostDirectory = 64
	)
	rest := jpeg[min(2, len(jpeg)):]
	for range mostSegments {
		if len(rest) < 4 || rest[0] != 0xff || rest[1] == scan {
			return upright
		}
		n := int(binary.BigEndian.Uint16(rest[2:]))
		if n < 2 || 2+n > len(rest) {
			return upright
		}
		segment, found := bytes.CutPrefix(rest[4:2+n], []byte("Exif\x00\x00"))
		if rest[1] != app1 || !found {
			rest = rest[2+n:]
			continue
		}
		var order binary.ByteOrder = binary.LittleEndian
		if bytes.HasPrefix(segment, []byte("MM\x00*")) {
			order = binary.BigEndian
		} else if !bytes.HasPrefix(segment, []byte("II*\x00")) {
			return upright
		}
		if len(segment) < 8 {
			return upright
		}
		at := uint64(order.Uint32(segment[4:]))
		if at+2 > uint64(len(segment)) {
			return upright
		}
		directory := segment[at+2:]
		for range min(int(order.Uint16(segment[at:])), mostDirectory, len(directory)/entry) {
			if order.Uint16(directory) == tag && order.Uint16(directory[2:]) == short {
				if t := order.Uint16(directory[8:]); t >= uint16(upright) && t <= uint16(last) {
					return turn(t)
				}
				return upright
			}
			directory = directory[entry:]
		}
		return upright
	}
	return upright
}
