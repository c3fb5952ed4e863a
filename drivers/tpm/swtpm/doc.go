// Package swtpm runs Debian's swtpm, a TPM 2.0 in software, on a Unix socket: the TPM of the desk and of the tests. Its state lies in a folder and
// outlives the process, so that a restart is a TPM reset and nothing else. Whoever reads the folder has every key in it; it is in no product image:
// every other file is built without the kiosk tag only.
package swtpm
