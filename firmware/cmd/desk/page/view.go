//go:build !kiosk

package page

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// freshness is the least time between two encodings, 16 frames a second however many pages look.
const freshness = 60 * time.Millisecond

// view keeps the newest frame, so that ten open pages cost as much as one.
type view struct {
	source interface {
		Frame(dst []byte) ([]byte, uint64, error)
	}

	mu     sync.Mutex
	jpeg   []byte
	number uint64
	taken  time.Time
}

// newest appends the newest frame to dst.
func (v *view) newest(dst []byte) ([]byte, uint64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if time.Since(v.taken) >= freshness {
		jpeg, number, err := v.source.Frame(v.jpeg[:0])
		if err != nil {
			v.taken = time.Time{}
			return dst, 0, err
		}
		v.jpeg, v.number, v.taken = jpeg, number, time.Now()
	}
	return append(dst, v.jpeg...), v.number, nil
}

// serve answers GET /frame.
func (v *view) serve(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
	if err != nil && r.URL.RawQuery != "" {
		refuse(w, http.StatusBadRequest, "after must be the number of a frame")
		return
	}
	seen := err == nil
	jpeg, number, err := v.newest(nil)
	if err != nil || seen && number == after {
		w.WriteHeader(http.StatusNoContent) // nothing new to see
		return
	}
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Lintel-Frame", strconv.FormatUint(number, 10))
	_, _ = w.Write(jpeg) // a client that is gone needs no answer
}
