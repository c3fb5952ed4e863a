// Package camera takes frames from a V4L2 camera as 8-bit gray, and says what a camera is by what the kernel knows about it.
//
//	List ─► Match ─► Open ─► Lock ─► Next … Next ─► Close        ErrStalled: call Next again
//	                   ▲                        │                 ErrGone, ErrBroken: Close, wait, Open
//	                   └──────── the caller's back-off ◄──────────┘
//
// Nothing that was asked is believed to be so: format, size, interval, exposure and gain are read back from the driver, and what
// differs is refused. The zero Settings refuse cameras without evidence of infrared, and those that no light falls on.
//
// Next hands out the newest frame. Frames that the caller was too slow for, that the driver lost, flawed or disordered are counted.
//
// Of go4vl this package takes the words: constants, and the structures whose layout is right. Its calls it does not use. In v0.3.0 most of
// them give the kernel the address of a variable on the goroutine's stack through functions that may move that stack, and the kernel then writes
// where the variable no longer is: of 1,500 GetPixFormat from stacks of different depth, 8 came back without an error and without
// a result. Besides, ENODEV and EIO are one error there, SetPixFormat and GetFormatFrameInterval misplace fields, and the flags of a control
// are hidden. So the calls are in node.go, with their structures in uapi.go.
package camera
