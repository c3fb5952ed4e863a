#include "textflag.h"

// Templates lie one after the other. Four rows at a time share each load of the probe; what is left over goes one row at a
// time and is added up in the same order, so that a score does not depend on the row where a reference stands. Nothing
// branches on a component: the only conditions are the counts of rows and of components.
//
// While four rows are compared, the same place of the next four is fetched: the hardware's own prefetch stops at each page.
// A prefetch past the slab's end is harmless, it cannot fault.
//
// SI: first of the rows, R8: bytes of a row, R9: of three rows, R10: byte within the row, R11: the next four rows, DX: probe.

// func dotsFloat32AVX2(scores, rows, probe *float32, n, dim int)
TEXT ·dotsFloat32AVX2(SB), NOSPLIT, $0-40
	MOVQ scores+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ probe+16(FP), DX
	MOVQ n+24(FP), CX
	MOVQ dim+32(FP), R8
	SHLQ $2, R8
	LEAQ (R8)(R8*2), R9

four:
	CMPQ   CX, $4
	JLT    one
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7
	XORQ   R10, R10
	LEAQ   (SI)(R8*4), R11

four16:
	VMOVUPS     (DX)(R10*1), Y8
	VMOVUPS     32(DX)(R10*1), Y9
	LEAQ        (SI)(R10*1), R12
	LEAQ        (R11)(R10*1), R13
	PREFETCHT0  (R13)
	VFMADD231PS (R12), Y8, Y0
	VFMADD231PS 32(R12), Y9, Y1
	PREFETCHT0  (R13)(R8*1)
	VFMADD231PS (R12)(R8*1), Y8, Y2
	VFMADD231PS 32(R12)(R8*1), Y9, Y3
	PREFETCHT0  (R13)(R8*2)
	VFMADD231PS (R12)(R8*2), Y8, Y4
	VFMADD231PS 32(R12)(R8*2), Y9, Y5
	PREFETCHT0  (R13)(R9*1)
	VFMADD231PS (R12)(R9*1), Y8, Y6
	VFMADD231PS 32(R12)(R9*1), Y9, Y7
	ADDQ        $64, R10
	CMPQ        R10, R8
	JLT         four16

	VADDPS       Y1, Y0, Y0
	VADDPS       Y3, Y2, Y2
	VADDPS       Y5, Y4, Y4
	VADDPS       Y7, Y6, Y6
	VHADDPS      Y2, Y0, Y0
	VHADDPS      Y6, Y4, Y4
	VHADDPS      Y4, Y0, Y0 // each half: one partial sum of each of the four rows
	VEXTRACTF128 $1, Y0, X1
	VADDPS       X1, X0, X0
	VMOVUPS      X0, (DI)
	ADDQ         $16, DI
	MOVQ         R11, SI
	SUBQ         $4, CX
	JMP          four

one:
	TESTQ  CX, CX
	JEQ    done
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	XORQ   R10, R10

one16:
	VMOVUPS      (DX)(R10*1), Y8
	VMOVUPS      32(DX)(R10*1), Y9
	VFMADD231PS  (SI)(R10*1), Y8, Y0
	VFMADD231PS  32(SI)(R10*1), Y9, Y1
	ADDQ         $64, R10
	CMPQ         R10, R8
	JLT          one16
	VADDPS       Y1, Y0, Y0
	VHADDPS      Y0, Y0, Y0
	VHADDPS      Y0, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPS       X1, X0, X0
	VMOVSS       X0, (DI)
	ADDQ         $4, DI
	ADDQ         R8, SI
	DECQ         CX
	JMP          one

done:
	VZEROUPPER
	RET

// func dotsInt8AVX2(sums *int32, rows, probe *int8, n, dim int)
//
// VPMADDUBSW multiplies unsigned by signed, so the probe's sign is moved to the row first. Components lie in -127..127:
// a pair of products is at most 2*127*127 = 32258, which int16 holds, so nothing saturates and the sums are exact.
TEXT ·dotsInt8AVX2(SB), NOSPLIT, $0-40
	MOVQ         sums+0(FP), DI
	MOVQ         rows+8(FP), SI
	MOVQ         probe+16(FP), DX
	MOVQ         n+24(FP), CX
	MOVQ         dim+32(FP), R8
	LEAQ         (R8)(R8*2), R9
	VPCMPEQW     Y15, Y15, Y15
	VPSRLW       $15, Y15, Y15 // Y15: sixteen ones

four:
	CMPQ  CX, $4
	JLT   one
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	XORQ  R10, R10
	LEAQ  (SI)(R8*4), R11

four32:
	VMOVDQU    (DX)(R10*1), Y8
	VPABSB     Y8, Y9
	LEAQ       (SI)(R10*1), R12
	VMOVDQU    (R12), Y4
	VMOVDQU    (R12)(R8*1), Y5
	VMOVDQU    (R12)(R8*2), Y6
	VMOVDQU    (R12)(R9*1), Y7
	VPSIGNB    Y8, Y4, Y4
	VPSIGNB    Y8, Y5, Y5
	VPSIGNB    Y8, Y6, Y6
	VPSIGNB    Y8, Y7, Y7
	VPMADDUBSW Y4, Y9, Y4
	VPMADDUBSW Y5, Y9, Y5
	VPMADDUBSW Y6, Y9, Y6
	VPMADDUBSW Y7, Y9, Y7
	VPMADDWD   Y15, Y4, Y4
	VPMADDWD   Y15, Y5, Y5
	VPMADDWD   Y15, Y6, Y6
	VPMADDWD   Y15, Y7, Y7
	VPADDD     Y4, Y0, Y0
	VPADDD     Y5, Y1, Y1
	VPADDD     Y6, Y2, Y2
	VPADDD     Y7, Y3, Y3
	LEAQ       (R11)(R10*4), R13
	PREFETCHT0 (R13)
	PREFETCHT0 64(R13)
	ADDQ       $32, R10
	CMPQ       R10, R8
	JLT        four32

	VPHADDD      Y1, Y0, Y0
	VPHADDD      Y3, Y2, Y2
	VPHADDD      Y2, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDD       X1, X0, X0
	VMOVDQU      X0, (DI)
	ADDQ         $16, DI
	MOVQ         R11, SI
	SUBQ         $4, CX
	JMP          four

one:
	TESTQ CX, CX
	JEQ   done
	VPXOR Y0, Y0, Y0
	XORQ  R10, R10

one32:
	VMOVDQU      (DX)(R10*1), Y8
	VPABSB       Y8, Y9
	VMOVDQU      (SI)(R10*1), Y4
	VPSIGNB      Y8, Y4, Y4
	VPMADDUBSW   Y4, Y9, Y4
	VPMADDWD     Y15, Y4, Y4
	VPADDD       Y4, Y0, Y0
	ADDQ         $32, R10
	CMPQ         R10, R8
	JLT          one32
	VPHADDD      Y0, Y0, Y0
	VPHADDD      Y0, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDD       X1, X0, X0
	VMOVD        X0, (DI)
	ADDQ         $4, DI
	ADDQ         R8, SI
	DECQ         CX
	JMP          one

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
