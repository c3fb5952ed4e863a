package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// hold keeps headquarters' folder for this process alone until release, or its end. Two on one folder would write the same files.
func hold(dir string) (release func() error, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("hold headquarters' folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errors.New("another hq serve or hq restore runs on it: stop it first")
		}
		return nil, errors.Join(fmt.Errorf("hold headquarters' folder %q: %w", dir, err), f.Close())
	}
	return f.Close, nil
}
