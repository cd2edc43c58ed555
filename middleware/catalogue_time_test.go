package middleware_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func (c *catalogue) times(t *testing.T) {
	w := c.world(t)
	w.rows(t,
		catalogueRow{name: "CL-13 exp missing", token: w.token(nil, catalogueRaw{"exp": ""}), reason: verifier.ReasonClaims},
		catalogueRow{name: "CL-15 expired 30 s ago, the leeway not set", token: w.token(nil, catalogueRaw{"exp": catalogueIn(-30 * time.Second)}), reason: verifier.ReasonExpired},
		catalogueRow{name: "CL-17 nbf in an hour", token: w.token(nil, catalogueRaw{"nbf": catalogueIn(time.Hour)}), reason: verifier.ReasonNotYetValid},
		catalogueRow{name: "CL-18 iat in an hour", token: w.token(nil, catalogueRaw{"iat": catalogueIn(time.Hour)}), reason: verifier.ReasonNotYetValid},
		catalogueRow{name: "CL-18 control: iat missing", token: w.token(nil, catalogueRaw{"iat": ""}), want: ok},
	)
	// A Duration has no NaN. Zero is the default of 10 s and not "off".
	for _, leeway := range []time.Duration{-1, -time.Hour, 2*time.Minute + 1, 24 * time.Hour, 1<<63 - 1} {
		c.row(t, fmt.Sprintf("CL-16 leeway %v is a mistake", leeway), func(t *testing.T) {
			guard, err := middleware.New(middleware.Config{
				Metadata: prm.Metadata{Resource: resource, AuthorizationServers: []string{catalogueA}}, Leeway: leeway,
			})
			if guard != nil || err == nil {
				t.Errorf("New = %v, %v", guard, err)
			}
		})
	}
}

// clock puts the rows that are about a moment into virtual time, which stands
// still while a row is judged.
func (c *catalogue) clock(t *testing.T) {
	const leeway = 5 * time.Second
	at := func(name string, run func(t *testing.T, w *catalogueWorld)) {
		c.row(t, name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				run(t, c.world(t, func(s *catalogueSetup) { s.config.Leeway = leeway }))
			})
		})
	}
	for _, test := range []struct {
		name, claim string
		from        time.Duration
		fraction    string
		reason      verifier.Reason
	}{
		{"CL-14 exp is now", "exp", 0, "", ""},
		{"CL-14 exp is now and 0.4 s", "exp", 0, ".4", ""},
		{"CL-14 exp was a second ago", "exp", -time.Second, "", ""},
		{"CL-14 exp was the leeway less a second ago", "exp", -leeway + time.Second, "", ""},
		{"CL-14 exp was the leeway less 0.6 s ago", "exp", -leeway, ".6", ""},
		{"CL-14 exp was the leeway ago", "exp", -leeway, "", verifier.ReasonExpired},
		{"CL-14 exp was the leeway and a second ago", "exp", -leeway - time.Second, "", verifier.ReasonExpired},
		{"CL-14 exp was the leeway and 0.6 s ago", "exp", -leeway - time.Second, ".4", verifier.ReasonExpired},
		{"CL-17 nbf is now", "nbf", 0, "", ""},
		{"CL-17 nbf is in the leeway", "nbf", leeway, "", ""},
		{"CL-17 nbf is in the leeway and a second", "nbf", leeway + time.Second, "", verifier.ReasonNotYetValid},
		{"CL-17 nbf is in the leeway and 0.4 s", "nbf", leeway, ".4", verifier.ReasonNotYetValid},
		{"CL-18 iat is in the leeway", "iat", leeway, "", ""},
		{"CL-18 iat is in the leeway and a second", "iat", leeway + time.Second, "", verifier.ReasonNotYetValid},
	} {
		at(test.name, func(t *testing.T, w *catalogueWorld) {
			row := catalogueRow{token: w.token(nil, catalogueRaw{test.claim: catalogueIn(test.from) + test.fraction}), reason: test.reason}
			if test.reason == "" {
				row.want = ok
			}
			w.assert(t, row)
		})
	}
	at("CL-14 CL-38 a remembered token ends to the nanosecond", func(t *testing.T, w *catalogueWorld) {
		token := w.good() // of five minutes
		w.assert(t, catalogueRow{token: token, want: ok})
		time.Sleep(5*time.Minute + leeway - 1)
		w.assert(t, catalogueRow{token: token, want: ok})
		time.Sleep(time.Nanosecond)
		w.assert(t, catalogueRow{token: token, reason: verifier.ReasonExpired})
	})
	at("CL-17 a refused token is good later", func(t *testing.T, w *catalogueWorld) {
		token := w.token(nil, catalogueRaw{"nbf": catalogueIn(time.Minute)})
		w.assert(t, catalogueRow{token: token, reason: verifier.ReasonNotYetValid})
		time.Sleep(time.Minute - leeway)
		w.assert(t, catalogueRow{token: token, want: ok})
	})
	// A clock that steps back cannot be had in virtual time; all that it can change
	// is that a token of the past has not yet expired.
	at("CL-38 the clock steps an hour ahead", func(t *testing.T, w *catalogueWorld) {
		token := w.good()
		w.assert(t, catalogueRow{token: token, want: ok})
		time.Sleep(time.Hour)
		// The keys are due after such a time.
		if answer := w.send(t, catalogueRow{token: w.good()}); answer.status != http.StatusOK {
			t.Fatalf("answered %d: %v", answer.status, answer.event.Err)
		}
		w.assert(t, catalogueRow{token: token, reason: verifier.ReasonExpired})
	})
}
