package main

import "errors"

// What door ends with, besides 0.
const (
	exitFailed = 1
	exitUsage  = 2
	// exitConfig is EX_CONFIG: the installation is wrong, and starting again at once cannot help.
	exitConfig = 78
)

// usageError is an error about the words of the command line: nothing was begun.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// configError is an error that only a change of the installation can mend.
type configError struct{ error }

func (e *configError) Unwrap() error { return e.error }

// exitOf is what the program ends with after an error.
func exitOf(err error) int {
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[*configError](err); ok {
		return exitConfig
	}
	return exitFailed
}
