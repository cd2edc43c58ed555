// Package contextkey has the key under which a context carries the verified token.
// It is apart, so that the front door can answer for it without one more context.
package contextkey

// Token is the key.
type Token struct{}
