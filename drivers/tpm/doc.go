// Package tpm is the kiosk's TPM 2.0: numbers that only rise, measurements, keys that never leave the chip, and secrets that open only in a
// measured and approved state. It speaks to /dev/tpmrm0 on a kiosk, over a Line where the kernel has no driver (package tis:
// a chip on SPI), and to Debian's swtpm over a Unix socket on a desk. There is no key in software.
//
//	TPM seeds (in the chip, one each)
//	├── endorsement ── attestation key AK          restricted: signs only what the TPM itself says (time, quote, certify)
//	├── owner ──────── storage root = salt key     its Name is the Pin; parent of all below; every session is salted to it
//	│                  ├── data key (sealed)       ┐ opened or used only under
//	│                  ├── audit key   ECDSA       │   PolicyAuthorize(release key, H(board)) AND PolicyAuthValue
//	│                  ├── TLS key     ECDSA       │ where each approval the release role signed stands for
//	│                  └── HPKE key    ECDH        ┘   PolicyPCR(values) AND PolicyNV(firmware floor ≤ version)
//	│                  NV: counters vault · audit · boot · floor, and the audit anchor
//	├── platform ───── shut at each Open with an authorisation that nobody knows (it is open again after a reset)
//	└── lockout ────── may clear the TPM: provisioning secret, kept off the kiosk
//
// The authorisation values of root, keys, sealed objects and NV indices are derived from Options.CPUSecret; those of the hierarchies from Secrets,
// of which the kiosk keeps only the endorsement's (for time attestations). Where a real kiosk keeps either is part 7; a desk keeps them beside swtpm's state.
//
// What an attacker gains at each node:
//
//	the disk, another TPM        nothing: the blobs load under no other root (ErrOtherTPM)
//	the bus, passively           nothing secret: answers are parameter-encrypted under a salt that only the pinned root can open
//	the bus, actively            refusals, never a belief: every answer acted on carries an HMAC. An *error* answer is not authenticated, so whoever
//	                             sits there can always deny. A raise may have happened although its answer was destroyed.
//	the bus at provisioning      everything: the pin is trusted on first use. Provision where nobody stands between.
//	root in the running kiosk    use of every key and of the data key until the next reset; no copy of a key, no lower counter
//	the whole box, own root,     the authorisations if CPUSecret is empty: he raises counters (kiosk refuses its own vault), overwrites the anchor;
//	  verified boot              but PCRs 11..14 are what his image measured: nothing sealed opens
//	the whole box, own root,     he extends the PCRs with our published measurements himself: it OPENS if CPUSecret is empty. A PCR proves a measurement
//	  no verified boot           only if something he cannot change did the measuring. A CPUSecret that his code cannot read closes it.
//	endorsement authorisation    time attestations with this AK, to whoever also has the AK's; no secret of the vault
//	owner authorisation          deletes counters and root (a denial); a counter made again never starts lower (the TPM keeps the maximum)
//	lockout or platform          clears the TPM: every sealed object is dead, the pin no longer matches
//	the release key              approves any state of the boards that he names; so it is offline
//
// All objects are exempt from the dictionary-attack lock: their authorisations hold 128 bits, and a lock would be a way to shut a door from outside.
package tpm
