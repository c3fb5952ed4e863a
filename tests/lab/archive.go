//go:build linux

package main

import (
	"bytes"
	"fmt"
)

// archive is a cpio archive in the "new ASCII" form, which the kernel unpacks as its first root (Documentation/driver-api/early-userspace).
type archive struct {
	bytes bytes.Buffer
	inode int
}

const (
	regular = 0o100000
	folder  = 0o040000
)

func (a *archive) add(name string, mode uint32, content []byte) { a.entry(name, regular|mode, content) }

func (a *archive) folder(name string) { a.entry(name, folder|0o755, nil) }

// entry writes magic, thirteen numbers of eight hexadecimal digits, the name and the content, the last two ending on a multiple of four.
func (a *archive) entry(name string, mode uint32, content []byte) {
	a.inode++
	fmt.Fprintf(&a.bytes, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		a.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0, name)
	a.pad()
	a.bytes.Write(content)
	a.pad()
}

func (a *archive) pad() { a.bytes.Write(make([]byte, -a.bytes.Len()&3)) }

func (a *archive) end() []byte {
	a.entry("TRAILER!!!", 0, nil)
	return a.bytes.Bytes()
}
