package abuse

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"filippo.io/age"

	"github.com/lintel-access/lintel/access"
	"github.com/lintel-access/lintel/sync/wire"
)

// The file: magic[16] ‖ film ‖ statement ‖ film's length u64 ‖ statement's length u64, big-endian. Film, which may be absent, and statement are age files
// to the same recipients. The statement is the deterministic CBOR of a Bundle and names the film's SHA-256.
const (
	magic   = "lintel abuse\x00\x00\x00\x01"
	trailer = 16
	layout  = 1

	// MaxFilm bounds the encrypted frames, in bytes: 64 of 640x480 that do not compress at all are 20 MB.
	MaxFilm = 32 << 20
	// maxStatement bounds the encrypted statement, in bytes: one of 64 frames and a probe has less than 64 KiB.
	maxStatement = 256 << 10
	// MaxFile bounds a whole file, in bytes.
	MaxFile = int64(len(magic)) + MaxFilm + maxStatement + trailer
)

// Bundle is the statement of a file.
type Bundle struct {
	Layout uint8
	Report Report
	Case   Case
	Film   Reel
}

// Reel names the film that belongs to a Bundle.
type Reel struct {
	Bytes  uint64   // encrypted; 0: there is none
	SHA256 [32]byte // of these bytes
}

// ErrNotForYou means that no identity opens the file.
var ErrNotForYou = errors.New("the file is encrypted to others")

// Recipients reads age X25519 recipients, and no other kind.
func Recipients(reviewers []string) (list []age.Recipient, err error) {
	for _, r := range reviewers {
		x, err := age.ParseX25519Recipient(r)
		if err != nil {
			return nil, fmt.Errorf("read reviewer %q: %q", r, err.Error())
		}
		list = append(list, x)
	}
	if len(list) == 0 || len(list) > access.MaxReviewers {
		return nil, fmt.Errorf("read reviewers: %d of them, want 1 to %d", len(list), access.MaxReviewers)
	}
	return list, nil
}

// Writer writes one file from front to end: the film as it comes, then the statement. What it was not told to Finish is no bundle.
type Writer struct {
	to   io.Writer
	all  hash.Hash
	film hash.Hash
	size uint64
}

// NewWriter begins a file.
func NewWriter(to io.Writer) (*Writer, error) {
	w := &Writer{to: to, all: sha256.New(), film: sha256.New()}
	return w, w.write([]byte(magic))
}

func (w *Writer) write(p []byte) error {
	w.all.Write(p)
	if _, err := w.to.Write(p); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return nil
}

// Film adds a part of the encrypted frames.
func (w *Writer) Film(part []byte) error {
	if w.size += uint64(len(part)); w.size > MaxFilm {
		return fmt.Errorf("write bundle: a film above %d bytes", MaxFilm)
	}
	w.film.Write(part)
	return w.write(part)
}

// Finish adds the statement and returns the SHA-256 of the whole file.
func (w *Writer) Finish(c *Case, exploit string, to []age.Recipient) (sum [32]byte, err error) {
	b := Bundle{Layout: layout, Report: c.Tell(exploit), Case: *c}
	if b.Film.Bytes = w.size; w.size > 0 {
		w.film.Sum(b.Film.SHA256[:0])
	}
	plain, err := wire.MarshalSecret(b, maxStatement)
	if err != nil {
		return sum, fmt.Errorf("write bundle: %w", err)
	}
	defer clear(plain)
	sealed, err := seal(plain, to)
	if err != nil {
		return sum, fmt.Errorf("write bundle: %w", err)
	}
	if len(sealed) > maxStatement {
		return sum, fmt.Errorf("write bundle: a statement of %d bytes", len(sealed))
	}
	end := binary.BigEndian.AppendUint64(nil, w.size)
	if err := w.write(binary.BigEndian.AppendUint64(append(sealed, end...), uint64(len(sealed)))); err != nil {
		return sum, err
	}
	w.all.Sum(sum[:0])
	return sum, nil
}

func seal(plain []byte, to []age.Recipient) ([]byte, error) {
	var sealed bytes.Buffer
	into, err := age.Encrypt(&sealed, to...)
	if err == nil {
		_, err = into.Write(plain)
	}
	if err == nil {
		err = into.Close()
	}
	return sealed.Bytes(), err
}

// Open reads a file of so many bytes. film is nil when there is none. Sizes are checked before anything of that size is read.
func Open(file io.ReaderAt, size int64, as ...age.Identity) (b *Bundle, film []Picture, err error) {
	if size < int64(len(magic)+trailer) || size > MaxFile {
		return nil, nil, fmt.Errorf("open bundle: %d bytes, want %d to %d", size, len(magic)+trailer, MaxFile)
	}
	var head [len(magic)]byte
	var end [trailer]byte
	if _, err := file.ReadAt(head[:], 0); err != nil {
		return nil, nil, fmt.Errorf("open bundle: %w", err)
	}
	if _, err := file.ReadAt(end[:], size-trailer); err != nil {
		return nil, nil, fmt.Errorf("open bundle: %w", err)
	}
	if string(head[:]) != magic {
		return nil, nil, errors.New("open bundle: not an abuse bundle, or of another layout")
	}
	filmed, stated := binary.BigEndian.Uint64(end[:]), binary.BigEndian.Uint64(end[8:])
	if filmed > MaxFilm || stated > maxStatement || int64(filmed+stated) != size-int64(len(magic)+trailer) {
		return nil, nil, errors.New("open bundle: its parts are not as long as it says")
	}
	statement, err := unseal(io.NewSectionReader(file, int64(len(magic))+int64(filmed), int64(stated)), maxStatement, as)
	if err != nil {
		return nil, nil, fmt.Errorf("open bundle: statement: %w", err)
	}
	defer clear(statement)
	if b, err = decode(statement); err != nil {
		return nil, nil, fmt.Errorf("open bundle: %w", err)
	}
	if film, err = b.Film.open(file, filmed, as); err != nil {
		b.Case.Wipe()
		return nil, nil, fmt.Errorf("open bundle: film: %w", err)
	}
	return b, film, nil
}

// errOtherFilm means that the film of a file is not the one that its statement names.
var errOtherFilm = errors.New("not the statement's")

// open reads the film of a file, if there is one, of so many bytes.
func (r Reel) open(file io.ReaderAt, filmed uint64, as []age.Identity) ([]Picture, error) {
	switch {
	case r.Bytes != filmed:
		return nil, errOtherFilm
	case filmed == 0:
		return nil, nil
	}
	sealed := make([]byte, filmed)
	if _, err := file.ReadAt(sealed, int64(len(magic))); err != nil {
		return nil, err
	}
	if sha256.Sum256(sealed) != r.SHA256 {
		return nil, errOtherFilm
	}
	return develop(bytes.NewReader(sealed), as)
}

// unseal decrypts at most so many bytes.
func unseal(from io.Reader, most int64, as []age.Identity) ([]byte, error) {
	plain, err := decrypt(from, as)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(plain, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("more than %d bytes", most)
	}
	return data, err
}

func decrypt(from io.Reader, as []age.Identity) (io.Reader, error) {
	plain, err := age.Decrypt(from, as...)
	if other := new(age.NoIdentityMatchError); errors.As(err, &other) {
		return nil, ErrNotForYou
	}
	if err != nil {
		return nil, fmt.Errorf("decrypt: %q", err.Error())
	}
	return plain, nil
}

// decode reads a statement. What it does not say, because it is older than this program, is as it is by default.
func decode(statement []byte) (*Bundle, error) {
	b := new(Bundle)
	b.Case.Policy = access.DefaultPolicy()
	err := wire.Overlay(statement, b)
	if err == nil {
		err = b.check()
	}
	if err != nil {
		b.Case.Wipe()
		return nil, err
	}
	return b, nil
}

// check refuses what is out of bounds.
func (b *Bundle) check() error {
	p := &b.Case.Presentation
	switch {
	case b.Layout != layout:
		return fmt.Errorf("layout %d, this program reads %d", b.Layout, layout)
	case len(p.Frames) > access.MaxFrames || len(p.Probe) != 0 && len(p.Probe) != access.ProbeSize || len(p.Reflected) != 0 && len(p.Reflected) != access.ProbeSize:
		return fmt.Errorf("a presentation of %d frames and a probe of %d", len(p.Frames), len(p.Probe))
	case len(b.Case.Opened.Chips) > access.MaxFrames || len(b.Case.Findings) > 64:
		return errors.New("more chips or findings than there can be")
	case b.Film.Bytes > MaxFilm:
		return errors.New("a film that is too long")
	}
	return nil
}
