// Package cuts takes the power from a machine in which the real door works: on a real gpiochip, TPM and file system. Its test carries the build tag lab
// and runs in the machine of tests/lab. The cuts of vault and audit log alone, of which there are more, are in tests/power.
package cuts
