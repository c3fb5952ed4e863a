#include "textflag.h"

// Templates lie one after the other and are compared as they lie: one stream through memory, at the speed of reading alone. (Four rows at a time share the
// loads of the probe; on an Intel that made no difference, on a Zen 4 four streams took twice as long.) The place 2 KiB ahead is fetched meanwhile, since
// the hardware's own prefetch stops at each page; past the slab's end that is harmless, it cannot fault.
// Nothing branches on a component: the only conditions are the counts of rows and of components, which are a multiple of 32.
//
// SI: the row, R8: bytes of a row, R10: byte within the row, DX: probe.

// func dotsFloat32AVX2(scores, rows, probe *float32, n, dim int)
TEXT ·dotsFloat32AVX2(SB), NOSPLIT, $0-40
	MOVQ scores+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ probe+16(FP), DX
	MOVQ n+24(FP), CX
	MOVQ dim+32(FP), R8
	SHLQ $2, R8

row:
	TESTQ  CX, CX
	JEQ    done
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	XORQ   R10, R10

next32:
	PREFETCHT0   2048(SI)(R10*1)
	PREFETCHT0   2112(SI)(R10*1)
	VMOVUPS      (DX)(R10*1), Y8
	VMOVUPS      32(DX)(R10*1), Y9
	VFMADD231PS  (SI)(R10*1), Y8, Y0
	VFMADD231PS  32(SI)(R10*1), Y9, Y1
	VMOVUPS      64(DX)(R10*1), Y8
	VMOVUPS      96(DX)(R10*1), Y9
	VFMADD231PS  64(SI)(R10*1), Y8, Y0
	VFMADD231PS  96(SI)(R10*1), Y9, Y1
	ADDQ         $128, R10
	CMPQ         R10, R8
	JLT          next32
	VADDPS       Y1, Y0, Y0
	VHADDPS      Y0, Y0, Y0
	VHADDPS      Y0, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPS       X1, X0, X0
	VMOVSS       X0, (DI)
	ADDQ         $4, DI
	ADDQ         R8, SI
	DECQ         CX
	JMP          row

done:
	VZEROUPPER
	RET

// func dotsInt8AVX2(sums *int32, rows, probe *int8, n, dim int)
//
// VPMADDUBSW multiplies unsigned by signed, so the probe's sign is moved to the row first. Components lie in -127..127:
// a pair of products is at most 2*127*127 = 32258, which int16 holds, so nothing saturates and the sums are exact.
TEXT ·dotsInt8AVX2(SB), NOSPLIT, $0-40
	MOVQ     sums+0(FP), DI
	MOVQ     rows+8(FP), SI
	MOVQ     probe+16(FP), DX
	MOVQ     n+24(FP), CX
	MOVQ     dim+32(FP), R8
	VPCMPEQW Y15, Y15, Y15
	VPSRLW   $15, Y15, Y15 // Y15: sixteen ones

row:
	TESTQ CX, CX
	JEQ   done
	VPXOR Y0, Y0, Y0
	XORQ  R10, R10

next32:
	PREFETCHT0   2048(SI)(R10*1)
	VMOVDQU      (DX)(R10*1), Y8
	VPABSB       Y8, Y9
	VMOVDQU      (SI)(R10*1), Y4
	VPSIGNB      Y8, Y4, Y4
	VPMADDUBSW   Y4, Y9, Y4
	VPMADDWD     Y15, Y4, Y4
	VPADDD       Y4, Y0, Y0
	ADDQ         $32, R10
	CMPQ         R10, R8
	JLT          next32
	VPHADDD      Y0, Y0, Y0
	VPHADDD      Y0, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDD       X1, X0, X0
	VMOVD        X0, (DI)
	ADDQ         $4, DI
	ADDQ         R8, SI
	DECQ         CX
	JMP          row

done:
	VZEROUPPER
	RET

// func readAVX2(slab *float32, n int) uint64
TEXT ·readAVX2(SB), NOSPLIT, $0-24
	MOVQ  slab+0(FP), SI
	MOVQ  n+8(FP), CX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3

read32:
	PREFETCHT0 2048(SI)       // the fastest of 2, 4, 8 and 16 KiB, and faster than none
	PREFETCHT0 2112(SI)
	VPXOR      (SI), Y0, Y0
	VPXOR      32(SI), Y1, Y1
	VPXOR      64(SI), Y2, Y2
	VPXOR      96(SI), Y3, Y3
	ADDQ       $128, SI
	SUBQ       $32, CX
	JGT        read32

	VPXOR        Y1, Y0, Y0
	VPXOR        Y3, Y2, Y2
	VPXOR        Y2, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPXOR        X1, X0, X0
	VMOVQ        X0, AX
	VPEXTRQ      $1, X0, BX
	XORQ         BX, AX
	MOVQ         AX, ret+16(FP)
	VZEROUPPER
	RET
