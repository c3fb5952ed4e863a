// Package match compares one probe with every reference of a gallery (1:N) and says who is nearest, how near, and how near the
// next person is. It knows no threshold: whether a score is enough, or two people too close together, is decided in access.
//
// # Layout
//
//	slab   | row 0 | row 1 | …           | free rows, zero |      dim components a row, no gap, any alignment
//	owners |   7   |   7   | 12 …        |                        a person's slot; several rows may have one owner
//
// The slab comes from the caller, who may have locked its pages into memory; templates exist there and nowhere else. In an
// [Int8] gallery the slab's first row holds the quantised probe while a search runs. A removed row takes the place of the last
// one, whose memory is wiped. Rows therefore move: keep owners, not row numbers.
//
// # Time
//
// A search walks the whole gallery twice: scores first, block by block with the choice of the best, then the owner's other
// rows are masked out to find the best of anybody else. The choice is made by masks, never by a branch, an early end or an
// address that depends on a score, so the time depends on the number of references, not on who matches or whether anybody does.
//
// Limits. The time tells how many references there are. It may depend on the probe by itself: a processor may multiply
// subnormal numbers slowly, and a product of two components under 1e-19 is one; templates of a real extractor have none to speak
// of. It depends on what else runs on the machine and on what is in the cache; every search leaves the same there. A probe that is refused is refused early. What the caller does with the result is the caller's to keep even.
//
// # Kernels
//
//	amd64  AVX2 and FMA                            row after row, 2 KiB fetched ahead
//	arm64  NEON; FEAT_DotProd for int8 if present  four rows at a time; checked in emulation only, never timed on a board
//	Go     elsewhere, and on older processors      the twin: what the others are tested against
//
// For int8 all give the same sums, and so the same scores, bit for bit. For float32 they differ in rounding alone, below 1e-6.
// Within one kernel a score does not depend on the row of its reference. Equal scores go to the lowest owner, then the lowest row.
package match
