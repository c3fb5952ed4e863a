//go:build !kiosk

package runner

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"
)

// maxLine bounds one line of a child in bytes; what is longer is cut. A stack trace's lines are below 300.
const maxLine = 2048

// lines writes whole lines of several children to one writer.
type lines struct {
	width int // of the longest name

	mu sync.Mutex
	to io.Writer
}

// write puts one line out. A line that cannot be written is lost: supervising must go on when the terminal is gone.
func (l *lines) write(name, text string) {
	line := fmt.Sprintf("%-*s | %s\n", l.width, name, text)
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = io.WriteString(l.to, line)
}

// copy writes what from delivers line by line until it ends, and returns the last line that was not empty.
func (l *lines) copy(name string, from io.Reader) (last string) {
	in := bufio.NewReaderSize(from, maxLine)
	for {
		part, more, err := in.ReadLine()
		if err != nil {
			return last
		}
		text := printable(part)
		for more && err == nil {
			_, more, err = in.ReadLine()
			if !more {
				text += " […]"
			}
		}
		l.write(name, text)
		if text != "" {
			last = text
		}
	}
}

// printable replaces what could steer the terminal: eye parses what an attacker holds before the lens, and its lines are
// therefore not trusted.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, strings.TrimRight(strings.ToValidUTF8(string(b), "·"), " \t\r"))
}
