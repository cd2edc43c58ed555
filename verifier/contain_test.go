package verifier_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// panics is a network that panics while it is told to.
type panics struct {
	http.RoundTripper
	on *bool
}

func (p panics) RoundTrip(r *http.Request) (*http.Response, error) {
	panicIf(p.on)
	return p.RoundTripper.RoundTrip(r)
}

func panicIf(on *bool) {
	if *on {
		panic("in a configured function")
	}
}

// What the configuration brings may panic where several callers share a goroutine
// that is none of net/http's: an outage, and no end of the process.
func TestAPanicInAConfiguredFunctionIsAnOutage(t *testing.T) {
	for name, build := range map[string]func(t *testing.T, on *bool) (v verifier.Verifier, token string){
		"fetching keys": func(t *testing.T, on *bool) (verifier.Verifier, string) {
			w := newWorld(t, func(c *verifier.JWTConfig) { c.Transport = panics{c.Transport, on} })
			return w.jwt, w.token(nil)
		},
		"Resolve": func(t *testing.T, on *bool) (verifier.Verifier, string) {
			issuer := authtest.NewIssuer(t, authtest.Config{Resources: []string{resource}})
			return newJWT(t, verifier.JWTConfig{Resource: resource, Transport: issuer.Transport(), Resolve: func(_ context.Context, iss string) (*verifier.Issuer, error) {
				panicIf(on)
				return &verifier.Issuer{URL: iss}, nil
			}}), issuer.Token(nil)
		},
		"asking": func(t *testing.T, on *bool) (verifier.Verifier, string) {
			return newInspector(t, func(c *verifier.IntrospectionConfig) { c.Transport = panics{c.Transport, on} }).v, opaque
		},
		"Auth": func(t *testing.T, on *bool) (verifier.Verifier, string) {
			return newInspector(t, func(c *verifier.IntrospectionConfig) {
				c.Auth = clientauth.BearerToken(func(context.Context) (string, error) { panicIf(on); return "x", nil })
			}).v, opaque
		},
		"Judge": func(t *testing.T, on *bool) (verifier.Verifier, string) {
			return newInspector(t, func(c *verifier.IntrospectionConfig) {
				c.Judge = func(*verifier.Token) error { panicIf(on); return nil }
			}).v, opaque
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				on := true
				v, token := build(t, &on)
				_, err := verify(t, v, token)
				isUnavailable(t, err)
				on = false
				time.Sleep(time.Second)
				if _, err := verify(t, v, token); err != nil {
					t.Errorf("then: %v", err)
				}
			})
		})
	}
}
