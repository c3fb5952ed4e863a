// Package smoke holds the laboratory's own suite: every kernel interface that other suites stand on is there and does something. Its tests carry
// the build tag lab and run in the machine of tests/lab.
package smoke
