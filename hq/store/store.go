// Package store is headquarters' state: values under keys, each with a revision, durable when a call returns. It lies in the JetStream of the broker,
// so that a cluster of brokers is a cluster of headquarters' state as well.
//
// A row of entries that only grows (a kiosk's stream of state) is a key for each entry, made with revision 0: who comes second is told so.
package store

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	bucket = "headquarters"
	stream = "KV_" + bucket
	prefix = "$KV." + bucket + "."
	// MaxValue is the largest value, bytes: the largest order of an operator, and some words about it.
	MaxValue = 140 << 10
	around   = 4 << 10 // bytes of a key and headers, which count too
	maxKey   = 200
	deadline = 5 * time.Second // for one call
)

var (
	// ErrNone means that nothing is stored under a key.
	ErrNone = errors.New("nothing is stored there")
	// ErrConflict means that somebody else wrote in between.
	ErrConflict = errors.New("somebody else has written there")
	// ErrNotStored means that it could not be made durable: nothing has changed, and it may be tried again once there is room.
	ErrNotStored = errors.New("headquarters cannot store: its disk is full or broken")
)

// Value is what is stored under a key.
type Value struct {
	Key      string
	Data     []byte
	Revision uint64 // rises with every write of any key
}

// Store is open state. Its methods may be called by several goroutines.
type Store struct {
	js jetstream.JetStream
	kv jetstream.KeyValue
	in jetstream.Stream

	writing sync.RWMutex // shared by who writes; a backup has it alone
}

// Open opens the state in this JetStream, or begins it.
func Open(ctx context.Context, js jetstream.JetStream) (*Store, error) {
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket, History: 1, MaxValueSize: MaxValue + around, Storage: jetstream.FileStorage})
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	in, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	s := &Store{js: js, kv: kv, in: in}
	if _, err := s.get(ctx, restoring); err == nil {
		return nil, errors.New("open state: a restore was cut short here, and this is a part of a backup. Move DIR/state away, and have hq restore fill it once more")
	} else if !errors.Is(err, ErrNone) {
		return nil, fmt.Errorf("open state: %w", err)
	}
	return s, nil
}

// A key is words of letters, digits, - and _, joined by dots.
func checkKey(key string) error {
	if len(key) > maxKey || !regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`).MatchString(key) {
		return fmt.Errorf("%q is no key", key)
	}
	return nil
}

// Get returns what is stored under a key, or ErrNone.
func (s *Store) Get(ctx context.Context, key string) (Value, error) {
	v, err := s.get(ctx, key)
	if err != nil {
		return Value{}, fmt.Errorf("read %q: %w", key, err)
	}
	return v, nil
}

func (s *Store) get(ctx context.Context, key string) (Value, error) {
	if err := checkKey(key); err != nil {
		return Value{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	e, err := s.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Value{}, ErrNone
	}
	if err != nil {
		return Value{}, err
	}
	return Value{key, e.Value(), e.Revision()}, nil
}

// Put stores a value, if the key's revision is still this one; 0: if nothing is stored under it. It returns the new revision, or ErrConflict, or
// ErrNotStored.
func (s *Store) Put(ctx context.Context, key string, data []byte, revision uint64) (uint64, error) {
	s.writing.RLock() // before the deadline begins
	defer s.writing.RUnlock()
	n, err := s.put(ctx, key, data, revision)
	if err != nil {
		return 0, fmt.Errorf("store %q: %w", key, err)
	}
	return n, nil
}

func (s *Store) put(ctx context.Context, key string, data []byte, revision uint64) (n uint64, err error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	if len(data) > MaxValue {
		return 0, fmt.Errorf("%d bytes, at most %d", len(data), MaxValue)
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if revision == 0 {
		n, err = s.kv.Create(ctx, key, data)
	} else {
		n, err = s.kv.Update(ctx, key, data, revision)
	}
	return n, meaning(err)
}

// meaning tells apart what callers act on.
func meaning(err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrKeyExists), errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
		return ErrConflict
	case errors.As(err, &api) && (api.Code == 503 || api.Code == 500), // out of room or disabled
		errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w (%w)", ErrNotStored, err)
	}
	return err
}

// Delete removes a key and its value, if its revision is still this one.
func (s *Store) Delete(ctx context.Context, key string, revision uint64) error {
	s.writing.RLock()
	defer s.writing.RUnlock()
	err := checkKey(key)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		err = meaning(s.kv.Purge(ctx, key, jetstream.LastRevision(revision)))
	}
	if err != nil {
		return fmt.Errorf("delete %q: %w", key, err)
	}
	return nil
}

// Last returns what was written last below a key, or ErrNone: the newest entry of a row.
func (s *Store) Last(ctx context.Context, below string) (Value, error) {
	if err := checkKey(below); err != nil {
		return Value{}, fmt.Errorf("read last: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	m, err := s.in.GetLastMsgForSubject(ctx, prefix+below+".>")
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Value{}, fmt.Errorf("read last below %q: %w", below, ErrNone)
	}
	if err != nil {
		return Value{}, fmt.Errorf("read last below %q: %w", below, err)
	}
	if m.Header.Get("KV-Operation") != "" {
		return Value{}, fmt.Errorf("read last below %q: it was deleted, and rows only grow", below)
	}
	return Value{strings.TrimPrefix(m.Subject, prefix), m.Data, m.Sequence}, nil
}

// List returns everything that is stored below a key, sorted by key. What is written for the first time meanwhile may be in it or not; a value that is
// written over meanwhile may be missing, as may its key.
func (s *Store) List(ctx context.Context, below string) ([]Value, error) {
	if err := checkKey(below); err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	list, err := s.list(ctx, below+".>")
	if err != nil {
		return nil, fmt.Errorf("list below %q: %w", below, err)
	}
	slices.SortFunc(list, func(a, b Value) int { return strings.Compare(a.Key, b.Key) })
	return list, nil
}

// list reads all values whose keys match, at once. It reads on until the newest write of when it began: a key that is written over before its turn comes has
// lost the old value by then, and the new one lies behind that end.
func (s *Store) list(ctx context.Context, keys string) (list []Value, err error) {
	w, err := s.kv.Watch(ctx, keys, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, err
	}
	defer w.Stop()
	t := time.NewTimer(deadline)
	defer t.Stop()
	for {
		select {
		case e, ok := <-w.Updates():
			if !ok {
				return nil, errors.New("interrupted")
			}
			if e == nil { // all there was
				return list, nil
			}
			list = append(list, Value{e.Key(), e.Value(), e.Revision()})
			t.Reset(deadline)
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.C:
			return nil, fmt.Errorf("nothing came for %v", deadline)
		}
	}
}
