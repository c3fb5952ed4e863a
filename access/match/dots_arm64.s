#include "textflag.h"

// Four rows at a time share each load of the probe; what is left over goes one at a time, added up in the same order: a score does not depend on the row
// where a reference stands.
//
// Instructions that Go's assembler does not know are encoded from the Arm Architecture Reference Manual (DDI 0487):
// d, n and m are register numbers, sizes are fixed in the word.

// FADDP Vd.4S, Vn.4S, Vm.4S: sums of neighbours, those of Vn in the lower half
#define FADDP4S(d, n, m) WORD $(0x6E20D400 | (m)<<16 | (n)<<5 | (d))
// FADD Vd.4S, Vn.4S, Vm.4S
#define FADD4S(d, n, m) WORD $(0x4E20D400 | (m)<<16 | (n)<<5 | (d))
// SMULL Vd.8H, Vn.8B, Vm.8B: products of the lower eight bytes
#define SMULL8H(d, n, m) WORD $(0x0E20C000 | (m)<<16 | (n)<<5 | (d))
// SMLAL2 Vd.8H, Vn.16B, Vm.16B: adds the products of the upper eight bytes
#define SMLAL2H(d, n, m) WORD $(0x4E208000 | (m)<<16 | (n)<<5 | (d))
// SADALP Vd.4S, Vn.8H: adds sums of neighbours
#define SADALP4S(d, n) WORD $(0x4E606800 | (n)<<5 | (d))
// SDOT Vd.4S, Vn.16B, Vm.16B: adds sums of four products; Armv8.2 with FEAT_DotProd
#define SDOT4S(d, n, m) WORD $(0x4E809400 | (m)<<16 | (n)<<5 | (d))

// func dotsFloat32NEON(scores, rows, probe *float32, n, dim int)
TEXT ·dotsFloat32NEON(SB), NOSPLIT, $0-40
	MOVD scores+0(FP), R0
	MOVD rows+8(FP), R1
	MOVD probe+16(FP), R2
	MOVD n+24(FP), R3
	MOVD dim+32(FP), R4
	LSL  $2, R4, R5       // R5: bytes of a row

four:
	CMP  $4, R3
	BLT  one
	ADD  R5, R1, R6       // R1, R6, R7, R8: the four rows
	ADD  R5, R6, R7
	ADD  R5, R7, R8
	ADD  R5, R8, R12      // R12: the next four rows
	MOVD R2, R9
	MOVD R4, R10
	MOVD R12, R11
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
	VEOR V2.B16, V2.B16, V2.B16
	VEOR V3.B16, V3.B16, V3.B16
	VEOR V4.B16, V4.B16, V4.B16
	VEOR V5.B16, V5.B16, V5.B16
	VEOR V6.B16, V6.B16, V6.B16
	VEOR V7.B16, V7.B16, V7.B16

four16:
	VLD1.P 64(R9), [V16.S4, V17.S4, V18.S4, V19.S4]
	VLD1.P 64(R1), [V20.S4, V21.S4, V22.S4, V23.S4]
	VLD1.P 64(R6), [V24.S4, V25.S4, V26.S4, V27.S4]
	PRFM   (R11), PLDL1KEEP
	VFMLA  V16.S4, V20.S4, V0.S4
	VFMLA  V16.S4, V24.S4, V2.S4
	VFMLA  V17.S4, V21.S4, V1.S4
	VFMLA  V17.S4, V25.S4, V3.S4
	VFMLA  V18.S4, V22.S4, V0.S4
	VFMLA  V18.S4, V26.S4, V2.S4
	VFMLA  V19.S4, V23.S4, V1.S4
	VFMLA  V19.S4, V27.S4, V3.S4
	PRFM   64(R11), PLDL1KEEP
	VLD1.P 64(R7), [V20.S4, V21.S4, V22.S4, V23.S4]
	VLD1.P 64(R8), [V24.S4, V25.S4, V26.S4, V27.S4]
	PRFM   128(R11), PLDL1KEEP
	VFMLA  V16.S4, V20.S4, V4.S4
	VFMLA  V16.S4, V24.S4, V6.S4
	VFMLA  V17.S4, V21.S4, V5.S4
	VFMLA  V17.S4, V25.S4, V7.S4
	VFMLA  V18.S4, V22.S4, V4.S4
	VFMLA  V18.S4, V26.S4, V6.S4
	VFMLA  V19.S4, V23.S4, V5.S4
	VFMLA  V19.S4, V27.S4, V7.S4
	PRFM   192(R11), PLDL1KEEP
	ADD    $256, R11
	SUBS   $16, R10, R10
	BNE    four16

	FADD4S(0, 0, 1)
	FADD4S(2, 2, 3)
	FADD4S(4, 4, 5)
	FADD4S(6, 6, 7)
	FADDP4S(0, 0, 2)
	FADDP4S(4, 4, 6)
	FADDP4S(0, 0, 4)
	VST1.P [V0.S4], 16(R0)
	MOVD   R12, R1
	SUB    $4, R3
	B      four

one:
	CBZ  R3, done
	MOVD R2, R9
	MOVD R4, R10
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16

one16:
	VLD1.P 64(R9), [V16.S4, V17.S4, V18.S4, V19.S4]
	VLD1.P 64(R1), [V20.S4, V21.S4, V22.S4, V23.S4]
	VFMLA  V16.S4, V20.S4, V0.S4
	VFMLA  V17.S4, V21.S4, V1.S4
	VFMLA  V18.S4, V22.S4, V0.S4
	VFMLA  V19.S4, V23.S4, V1.S4
	SUBS   $16, R10, R10
	BNE    one16
	FADD4S(0, 0, 1)
	FADDP4S(0, 0, 0)
	FADDP4S(0, 0, 0)
	FMOVS.P F0, 4(R0)
	SUB    $1, R3
	B      one

done:
	RET

// func dotsInt8NEON(sums *int32, rows, probe *int8, n, dim int)
//
// Components lie in -127..127: two products added are at most 2*127*127 = 32258, which int16 holds, so the sums are exact.
TEXT ·dotsInt8NEON(SB), NOSPLIT, $0-40
	MOVD sums+0(FP), R0
	MOVD rows+8(FP), R1
	MOVD probe+16(FP), R2
	MOVD n+24(FP), R3
	MOVD dim+32(FP), R4

four:
	CMP  $4, R3
	BLT  one
	ADD  R4, R1, R6
	ADD  R4, R6, R7
	ADD  R4, R7, R8
	ADD  R4, R8, R12
	MOVD R2, R9
	MOVD R4, R10
	MOVD R12, R11
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
	VEOR V2.B16, V2.B16, V2.B16
	VEOR V3.B16, V3.B16, V3.B16

four16:
	VLD1.P 16(R9), [V16.B16]
	VLD1.P 16(R1), [V20.B16]
	VLD1.P 16(R6), [V21.B16]
	VLD1.P 16(R7), [V22.B16]
	VLD1.P 16(R8), [V23.B16]
	PRFM   (R11), PLDL1KEEP
	SMULL8H(24, 16, 20)
	SMULL8H(25, 16, 21)
	SMULL8H(26, 16, 22)
	SMULL8H(27, 16, 23)
	SMLAL2H(24, 16, 20)
	SMLAL2H(25, 16, 21)
	SMLAL2H(26, 16, 22)
	SMLAL2H(27, 16, 23)
	SADALP4S(0, 24)
	SADALP4S(1, 25)
	SADALP4S(2, 26)
	SADALP4S(3, 27)
	ADD    $64, R11
	SUBS   $16, R10, R10
	BNE    four16

	VADDP  V1.S4, V0.S4, V0.S4
	VADDP  V3.S4, V2.S4, V2.S4
	VADDP  V2.S4, V0.S4, V0.S4
	VST1.P [V0.S4], 16(R0)
	MOVD   R12, R1
	SUB    $4, R3
	B      four

one:
	CBZ  R3, done
	MOVD R2, R9
	MOVD R4, R10
	VEOR V0.B16, V0.B16, V0.B16

one16:
	VLD1.P 16(R9), [V16.B16]
	VLD1.P 16(R1), [V20.B16]
	SMULL8H(24, 16, 20)
	SMLAL2H(24, 16, 20)
	SADALP4S(0, 24)
	SUBS   $16, R10, R10
	BNE    one16
	VADDV  V0.S4, V0
	FMOVS.P F0, 4(R0)
	SUB    $1, R3
	B      one

done:
	RET

// func dotsInt8Dot(sums *int32, rows, probe *int8, n, dim int)
TEXT ·dotsInt8Dot(SB), NOSPLIT, $0-40
	MOVD sums+0(FP), R0
	MOVD rows+8(FP), R1
	MOVD probe+16(FP), R2
	MOVD n+24(FP), R3
	MOVD dim+32(FP), R4

four:
	CMP  $4, R3
	BLT  one
	ADD  R4, R1, R6
	ADD  R4, R6, R7
	ADD  R4, R7, R8
	ADD  R4, R8, R12
	MOVD R2, R9
	MOVD R4, R10
	MOVD R12, R11
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
	VEOR V2.B16, V2.B16, V2.B16
	VEOR V3.B16, V3.B16, V3.B16
	VEOR V4.B16, V4.B16, V4.B16
	VEOR V5.B16, V5.B16, V5.B16
	VEOR V6.B16, V6.B16, V6.B16
	VEOR V7.B16, V7.B16, V7.B16

four32:
	VLD1.P 32(R9), [V16.B16, V17.B16]
	VLD1.P 32(R1), [V20.B16, V21.B16]
	VLD1.P 32(R6), [V22.B16, V23.B16]
	VLD1.P 32(R7), [V24.B16, V25.B16]
	VLD1.P 32(R8), [V26.B16, V27.B16]
	PRFM   (R11), PLDL1KEEP
	SDOT4S(0, 16, 20)
	SDOT4S(1, 17, 21)
	SDOT4S(2, 16, 22)
	SDOT4S(3, 17, 23)
	SDOT4S(4, 16, 24)
	SDOT4S(5, 17, 25)
	SDOT4S(6, 16, 26)
	SDOT4S(7, 17, 27)
	PRFM   64(R11), PLDL1KEEP
	ADD    $128, R11
	SUBS   $32, R10, R10
	BNE    four32

	VADD   V1.S4, V0.S4, V0.S4
	VADD   V3.S4, V2.S4, V2.S4
	VADD   V5.S4, V4.S4, V4.S4
	VADD   V7.S4, V6.S4, V6.S4
	VADDP  V2.S4, V0.S4, V0.S4
	VADDP  V6.S4, V4.S4, V4.S4
	VADDP  V4.S4, V0.S4, V0.S4
	VST1.P [V0.S4], 16(R0)
	MOVD   R12, R1
	SUB    $4, R3
	B      four

one:
	CBZ  R3, done
	MOVD R2, R9
	MOVD R4, R10
	VEOR V0.B16, V0.B16, V0.B16

one32:
	VLD1.P 32(R9), [V16.B16, V17.B16]
	VLD1.P 32(R1), [V20.B16, V21.B16]
	SDOT4S(0, 16, 20)
	SDOT4S(0, 17, 21)
	SUBS   $32, R10, R10
	BNE    one32
	VADDV  V0.S4, V0
	FMOVS.P F0, 4(R0)
	SUB    $1, R3
	B      one

done:
	RET

// func readNEON(slab *float32, n int) uint64
TEXT ·readNEON(SB), NOSPLIT, $0-24
	MOVD slab+0(FP), R1
	MOVD n+8(FP), R3
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
	VEOR V2.B16, V2.B16, V2.B16
	VEOR V3.B16, V3.B16, V3.B16

read16:
	VLD1.P 64(R1), [V20.B16, V21.B16, V22.B16, V23.B16]
	PRFM   2048(R1), PLDL1KEEP
	VEOR   V20.B16, V0.B16, V0.B16
	VEOR   V21.B16, V1.B16, V1.B16
	VEOR   V22.B16, V2.B16, V2.B16
	VEOR   V23.B16, V3.B16, V3.B16
	SUBS   $16, R3, R3
	BNE    read16

	VEOR V1.B16, V0.B16, V0.B16
	VEOR V3.B16, V2.B16, V2.B16
	VEOR V2.B16, V0.B16, V0.B16
	VMOV V0.D[0], R4
	VMOV V0.D[1], R5
	EOR  R5, R4, R4
	MOVD R4, ret+16(FP)
	RET
