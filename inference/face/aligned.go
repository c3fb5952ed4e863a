package face

import (
	"fmt"
	"image"

	"github.com/lintel-access/lintel/inference/gray"
)

// Align is a measured face of a frame as the extractor wants to see it, as gray levels, row by row. It is valid until the pipeline's next call.
func (p *Pipeline) Align(img *image.Gray, f *Face) ([]float32, error) {
	src, err := gray.Read(img)
	if err != nil {
		return nil, err
	}
	if f.by == nil {
		return nil, fmt.Errorf("align face: %w", ErrMeasure)
	}
	if _, err := p.align(src, f); err != nil {
		return nil, err
	}
	p.serial++ // no face is the one that p.aligned holds by the pipeline's own account
	return p.aligned, nil
}

// AlignedSize is the number of values of an aligned face.
func (p *Pipeline) AlignedSize() int { return len(p.aligned) }

// ExtractAligned is Extract of a face that is aligned already.
func (p *Pipeline) ExtractAligned(aligned, dst []float32) error {
	if len(aligned) != len(p.aligned) || len(dst) != p.ProbeSize() {
		return fmt.Errorf("extract probe: %d of %d values of an aligned face, or room for %d of %d", len(aligned), len(p.aligned), len(dst), p.ProbeSize())
	}
	p.feed(aligned)
	return p.runExtractor(dst)
}
