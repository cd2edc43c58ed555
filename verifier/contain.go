package verifier

import "errors"

// contain turns the panic of a configured function into an outage. In a goroutine
// that several callers share it would end the process, where net/http ends one
// request.
func contain(err *error, issuer string) {
	if recover() != nil {
		*err = &UnavailableError{Issuer: issuer, Err: errors.New("a configured function panicked")}
	}
}
