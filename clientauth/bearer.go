package clientauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// BearerToken authenticates by an access token of our own (RFC 7662 §2.1), as
// admin endpoints want it. source returns the token to use now; it is called for
// every request, so it should remember the token until shortly before its end. It
// must be safe for concurrent use and respect ctx.
func BearerToken(source func(ctx context.Context) (string, error)) Method {
	var wrong error
	if source == nil {
		wrong = errors.New("clientauth: the source of bearer tokens is nil")
	}
	return Method{
		name:  "bearer",
		wrong: wrong,
		apply: func(ctx context.Context, header http.Header, _ url.Values, _ string) error {
			token, err := source(ctx)
			if err != nil {
				return &causeError{text: "clientauth: no bearer token can be had", err: err}
			}
			if !token68(token) {
				return errNotBearer
			}
			header.Set("Authorization", "Bearer "+token)
			return nil
		},
	}
}

// StaticBearer is BearerToken for a token that never changes.
func StaticBearer(token string) Method {
	m := BearerToken(func(context.Context) (string, error) { return token, nil })
	if !token68(token) {
		m.wrong = errNotBearer
	}
	return m
}

var errNotBearer = errors.New("clientauth: the bearer token is empty or has characters that none has (RFC 6750 §2.1)")

// token68 applies RFC 6750 §2.1, so that nothing can be smuggled into the field.
func token68(s string) bool {
	body := strings.TrimRight(s, "=")
	return body != "" && !strings.ContainsFunc(body, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~+/", r))
	})
}

// causeError keeps the cause for errors.Is and errors.As, and its text out of
// ours: the function that failed handles secrets.
type causeError struct {
	text string
	err  error
}

func (e *causeError) Error() string { return e.text }

func (e *causeError) Unwrap() error { return e.err }
