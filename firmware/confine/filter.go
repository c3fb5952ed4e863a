package confine

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// grant lets one system call pass, if one of its arguments passes a test and a pointer, where it names one, is null. What no grant names fails with EPERM.
//
// go-seccomp-bpf gives us the tables of numbers. Its own assembler is not used: in v1.6.0, after an argument has failed its test,
// the filter goes on comparing that argument, instead of the call's number, with the numbers that follow, so that openat with
// the flags 62 passes as kill, which is number 62.
type grant struct {
	name   string
	arg    int // 0..5; only the low 32 bits are looked at, because that is what the kernel reads of an int
	test   test
	bits   uint32   // for noneOf and allOf
	values []uint32 // for oneOf and notOneOf
	null   int      // an argument, 1..5, that must be null in all of its 64 bits; 0: none
	and    *grant   // of the same call, which must pass as well; nil: nothing more
	or     *grant   // of the same call, which is asked when this one does not pass; nil: nothing else
}

type test uint8

const (
	anything test = 0
	noneOf   test = 1 // arg & bits == 0
	allOf    test = 2 // arg & bits == bits
	oneOf    test = 3 // arg is one of values
	notOneOf test = 4 // arg is none of values
)

// Offsets in struct seccomp_data, linux/seccomp.h.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16 // 8 bytes each, low half first on the little-endian machines we run on
)

// x32 calls of amd64 have this bit; they would walk past a list of the usual numbers.
const x32Bit = 0x40000000

// glibc tries clone3 first, whose flags lie in memory where no filter can look. ENOSYS sends it back to clone; EPERM would not.
const replaced = "clone3"

// assemble writes the filter. Each grant is a block that ends in a verdict or is skipped whole, so that every comparison with a
// call's number sees a call's number.
func assemble(grants []grant, table *arch.Info) ([]bpf.RawInstruction, error) {
	allow := bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}
	deny := bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)}
	absent := bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)}

	prog := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(table.ID), SkipTrue: 1},
		deny,
		bpf.LoadAbsolute{Off: offNumber, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32Bit, SkipTrue: 1},
		deny,
	}
	block := func(name string, body ...bpf.Instruction) error {
		number, ok := table.SyscallNames[name]
		if !ok {
			return fmt.Errorf("system call %q is unknown on %s", name, table.Name)
		}
		prog = append(prog, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(number), SkipFalse: uint8(len(body))})
		prog = append(prog, body...)
		return nil
	}
	for _, g := range grants {
		if err := block(g.name, g.body(allow, deny)...); err != nil {
			return nil, err
		}
	}
	if err := block(replaced, absent); err != nil {
		return nil, err
	}
	return bpf.Assemble(append(prog, deny))
}

// body is the verdict on a call whose number has matched.
func (g grant) body(allow, deny bpf.Instruction) []bpf.Instruction {
	switch {
	case g.or != nil:
		first, other := g, g.or.body(allow, deny)
		first.or = nil
		return append(instead(first.body(allow, deny), deny), other...)
	case g.and != nil:
		first, more := g, g.and.body(allow, deny)
		first.and = nil
		return append(instead(first.body(allow, deny), allow), more...)
	}
	if of := g.null; of != 0 {
		g.null = 0
		low := offArgs + 8*uint32(of)
		isZero := bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 1}
		return append([]bpf.Instruction{bpf.LoadAbsolute{Off: low, Size: 4}, isZero, deny, bpf.LoadAbsolute{Off: low + 4, Size: 4}, isZero, deny}, g.body(allow, deny)...)
	}
	load := bpf.LoadAbsolute{Off: offArgs + 8*uint32(g.arg), Size: 4}
	switch g.test {
	case anything:
		return []bpf.Instruction{allow}
	case noneOf:
		return []bpf.Instruction{load, bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: g.bits, SkipTrue: 1}, allow, deny}
	case allOf:
		mask := bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: g.bits}
		return []bpf.Instruction{load, mask, bpf.JumpIf{Cond: bpf.JumpEqual, Val: g.bits, SkipFalse: 1}, allow, deny}
	case oneOf, notOneOf:
		found, other := allow, deny
		if g.test == notOneOf {
			found, other = deny, allow
		}
		body := []bpf.Instruction{load}
		for _, v := range g.values {
			body = append(body, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipFalse: 1}, found)
		}
		return append(body, other)
	}
	return []bpf.Instruction{deny}
}

// instead has whatever would come to one verdict go on behind the block.
func instead(block []bpf.Instruction, of bpf.Instruction) []bpf.Instruction {
	for i, in := range block {
		if in == of {
			block[i] = bpf.Jump{Skip: uint32(len(block) - i - 1)}
		}
	}
	return block
}

// install puts the filter on every thread of the process at once; threads to come inherit it. no_new_privs comes with it.
func install(filter []bpf.RawInstruction) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	code := make([]unix.SockFilter, len(filter))
	for i, in := range filter {
		code[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return fmt.Errorf("install seccomp filter: %w", errno)
	}
	if thread != 0 {
		return fmt.Errorf("install seccomp filter: thread %d has another one", thread)
	}
	return nil
}
