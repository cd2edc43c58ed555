// Package contextkey has the keys under which a context carries what the front door
// knows. They are apart, so that it can answer for the token without one more
// context, and leaves can tell these values from others.
package contextkey

// Token is the key of the verified token.
type Token struct{}

// Late is the key of what refuses a request that is being served.
type Late struct{}
