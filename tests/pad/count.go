package main

import "github.com/lintel-access/lintel/tests/exact"

// share prints k of n as a percentage with its exact interval.
func share(k, n int) string { return exact.Share(k, n) }
