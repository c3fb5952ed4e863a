// Package tis brings TPM commands to a discrete TPM 2.0 on an SPI bus (Infineon's SLB 9670 and its kin) where the kernel has no driver for it: the FIFO
// interface of TCG's PC Client Platform TPM Profile 1.04 (PTP), spoken through periph.io's SPI.
//
// It has never met a real chip. Its tests drive it against a register machine of ours with swtpm behind it and with faults on the bus; what that machine
// believes about a chip, we believe too.
//
// One register access on the bus, chip select low from the first byte to the last:
//
//	MOSI  direction|size-1  D4  address high  address low   0 …            data or 0
//	MISO  –                 –   –             –  bit 0 ──1──────────────► data follows at once
//	                                             bit 0 ──0──► 0 … 0 1 ──► wait states; the byte whose bit 0 is 1 ends them
//
// One command:
//
//	        commandReady            bytes, Expect            tpmGo              dataAvail           last byte
//	Idle ──────────────► Ready ────────────────► Reception ────────► Execution ───────────► Completion ──► Idle (commandReady)
//	                       ▲  Expect not as it must be │                 │ deadline: commandCancel   │ framing broken:
//	                       └──────── commandReady ─────┘                 └── then commandReady       └─ responseRetry, read again
//
// A command is sent again only before tpmGo, or when the chip answers that it has not begun it. The bus has no checksum: a flipped data byte is not seen
// here but by the HMACs above (package tpm).
//
// Wait states decide how chip select is held. A single transfer of header and data cannot be used: while the chip waits it drops the data of a write.
// So each piece is a call of spi.Conn.TxPackets whose packet says KeepCS; periph hands that to Linux as cs_change on the last transfer of a message,
// which holds the line until the next message, unless another device on the same bus is spoken to in between. So the bus must carry the TPM alone, and
// its controller must drive chip select by software (as the Raspberry Pi's device trees do, cs-gpios).
//
// The chip's reset must be the board's own. One that a warm reboot does not reset keeps the last boot's measurements, and nothing sealed opens; one whose
// reset somebody can pull under a running system starts its measurements anew (ErrReset tells whoever had it open; package tpm says what that is worth).
//
// Whoever opens the bus gives it to us: sysfs.NewSPI of periph.io/x/host/v3, for /dev/spidevB.C. The chip's interrupt line is not used.
package tis
