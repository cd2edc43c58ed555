package verifier_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// signer is an endpoint that signs its answers (RFC 9701).
type signer struct {
	*inspector
	key       authtest.Key
	header    raw    // members of the JOSE header replaced
	claims    raw    // members of the payload replaced
	inner     raw    // members of the answer replaced
	mediaType string // empty: the right one
	edit      func(signed string) string
	served    string // the last answer
}

func newSigner(t *testing.T, edit ...func(*verifier.IntrospectionConfig)) *signer {
	t.Helper()
	s := &signer{key: newKey(t, "ES256", "as-1")}
	s.inspector = newInspector(t, append([]func(*verifier.IntrospectionConfig){func(c *verifier.IntrospectionConfig) {
		c.Signed, c.SignedAudience, c.JWKSURI = true, clientID, server+"/jwks"
	}}, edit...)...)
	s.network[server] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/jwks" {
			serveJSON(jwks(t, s.key)).ServeHTTP(w, r)
			return
		}
		s.endpoint.ServeHTTP(w, r)
	})
	s.endpoint.fail(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if accept := r.Header.Get("Accept"); accept != "application/token-introspection+jwt" {
			t.Errorf("Accept %q", accept)
		}
		mediaType := s.mediaType
		if mediaType == "" {
			mediaType = "application/token-introspection+jwt"
		}
		w.Header().Set("Content-Type", mediaType)
		s.served = s.answer()
		_, _ = w.Write([]byte(s.served))
	}))
	return s
}

// answer signs an answer.
func (s *signer) answer() string {
	payload := raw{
		"iss": quote(server), "aud": quote(clientID), "iat": number(time.Now()), "token_introspection": about(s.inner),
	}.object(s.claims)
	header := raw{"typ": `"token-introspection+jwt"`}
	for name, value := range s.header {
		header[name] = value
	}
	signed := signWith(s.t, s.key, header, payload)
	if s.edit != nil {
		signed = s.edit(signed)
	}
	return signed
}

func TestSignedAnswerIsAccepted(t *testing.T) {
	for name, change := range map[string]func(*signer){
		"as RFC 9701 §5 shows it": func(*signer) {},
		"typ in full":             func(s *signer) { s.header = raw{"typ": `"application/token-introspection+jwt"`} },
		"media type with case and parameter": func(s *signer) {
			s.mediaType = "Application/Token-Introspection+JWT; charset=utf-8"
		},
		"several aud":              func(s *signer) { s.claims = raw{"aud": `["x",` + quote(clientID) + "]"} },
		"a second of delay":        func(s *signer) { s.claims = raw{"iat": number(time.Now().Add(-time.Second))} },
		"claims beside the answer": func(s *signer) { s.claims = raw{"exp": "1", "sub": `"somebody else"`} },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSigner(t)
			change(s)
			got := s.accept(opaque)
			if got.Subject != "user-0123456789abcdef" {
				t.Errorf("subject %q", got.Subject)
			}
			var claims struct {
				Active bool `json:"active"`
			}
			if err := got.Claims(&claims); err != nil || !claims.Active {
				t.Errorf("Claims: %v, %+v", err, claims)
			}
			s.accept(opaque)
			s.asked(1)
		})
	}
}

// IN-17: whatever is not a signed answer to us is no answer, and not remembered.
func TestSignedAnswerIsRequired(t *testing.T) {
	stranger := newKey(t, "ES256", "as-1")
	none := func(signed string) string {
		parts := strings.Split(signed, ".")
		parts[0] = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"token-introspection+jwt"}`))
		return parts[0] + "." + parts[1] + "."
	}
	for name, change := range map[string]func(*signer){
		"IN-17 plain JSON": func(s *signer) {
			s.mediaType, s.edit = "application/json", func(string) string { return about(nil) }
		},
		"IN-17 plain JSON under the other media type": func(s *signer) { s.edit = func(string) string { return about(nil) } },
		"IN-17 signed under the plain media type":     func(s *signer) { s.mediaType = "application/json" },
		"IN-17 signed as application/jwt":             func(s *signer) { s.mediaType = "application/jwt" },
		"IN-17 alg none":                              func(s *signer) { s.edit = none },
		"IN-17 alg of another list":                   func(s *signer) { s.key = newKey(s.t, "ES384", "as-1") },
		"IN-17 HS256 with the public key": func(s *signer) {
			s.header = raw{"alg": `"HS256"`, "typ": `"token-introspection+jwt"`}
		},
		"IN-17 signature removed": func(s *signer) {
			s.edit = func(signed string) string { return signed[:strings.LastIndex(signed, ".")+1] }
		},
		"IN-17 signature of a stranger": func(s *signer) {
			s.edit = func(string) string {
				other := *s
				other.key, other.edit = stranger, nil
				return other.answer()
			}
		},
		"IN-17 unknown kid":       func(s *signer) { s.header = raw{"kid": `"as-2"`, "typ": `"token-introspection+jwt"`} },
		"IN-17 aud another":       func(s *signer) { s.claims = raw{"aud": `"resource-2"`} },
		"IN-17 aud missing":       func(s *signer) { s.claims = raw{"aud": ""} },
		"IN-17 aud a number":      func(s *signer) { s.claims = raw{"aud": "1"} },
		"IN-17 iss another":       func(s *signer) { s.claims = raw{"iss": `"https://other.example"`} },
		"IN-17 iss missing":       func(s *signer) { s.claims = raw{"iss": ""} },
		"IN-17 iat missing":       func(s *signer) { s.claims = raw{"iat": ""} },
		"IN-17 iat a string":      func(s *signer) { s.claims = raw{"iat": `"1"`} },
		"IN-17 from earlier":      func(s *signer) { s.claims = raw{"iat": number(time.Now().Add(-15 * time.Second))} },
		"IN-17 from the future":   func(s *signer) { s.claims = raw{"iat": number(time.Now().Add(15 * time.Second))} },
		"typ of an access token":  func(s *signer) { s.header = raw{"typ": `"at+jwt"`} },
		"typ JWT":                 func(s *signer) { s.header = raw{"typ": `"JWT"`} },
		"no typ":                  func(s *signer) { s.header = raw{"typ": ""} },
		"no answer in it":         func(s *signer) { s.claims = raw{"token_introspection": ""} },
		"answer a string":         func(s *signer) { s.claims = raw{"token_introspection": `"{\"active\":true}"`} },
		"answer beside it":        func(s *signer) { s.claims = raw{"token_introspection": `{}`, "active": "true"} },
		"active a string":         func(s *signer) { s.inner = raw{"active": `"true"`} },
		"active twice":            func(s *signer) { s.claims = raw{"token_introspection": `{"active":false,"active":true}`} },
		"encrypted":               func(s *signer) { s.edit = func(string) string { return "e30.AA.AA.AA.AA" } },
		"crit":                    func(s *signer) { s.header = raw{"typ": `"token-introspection+jwt"`, "crit": `["exp"]`} },
		"white space around it":   func(s *signer) { s.edit = func(signed string) string { return signed + "\n" } },
		"IN-16 larger than 16 KB": func(s *signer) { s.inner = raw{"x": quote(strings.Repeat("x", 16<<10))} },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSigner(t, func(c *verifier.IntrospectionConfig) { c.Algorithms = []string{"ES256"} })
			change(s)
			s.unavailable(opaque)
			if got := s.v.Status().Counts; got.BadAnswers != 1 {
				t.Errorf("counted as %+v", got)
			}
			s.unavailable(opaque)
			s.asked(2)
		})
	}
}

func TestSignedAnswerIsJudgedAsAPlainOne(t *testing.T) {
	for want, inner := range map[verifier.Reason]raw{
		verifier.ReasonInactive:     {"active": "false"},
		verifier.ReasonAudience:     {"aud": `"https://other.example"`},
		verifier.ReasonExpired:      {"exp": "1"},
		verifier.ReasonConfirmation: {"cnf": "{}"},
	} {
		s := newSigner(t)
		s.inner = inner
		s.refuse(opaque, want)
	}
}

// IN-17: an answer does not say which token it is about, so one text about two
// tokens is refused; about the same token again, it is not remembered.
func TestSignedAnswerIsNotReplayed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSigner(t, func(c *verifier.IntrospectionConfig) { c.TTL = time.Second })
		s.accept(opaque)
		s.edit = func(string) string { return s.served }
		s.unavailable("another-token-0123456789")
		time.Sleep(2 * time.Second)
		s.accept(opaque)
		s.accept(opaque)
		s.asked(4)
		time.Sleep(10 * time.Second)
		s.unavailable(opaque) // too old by now

		// Refusals are alike for all tokens.
		s.edit, s.inner = nil, raw{"active": "false"}
		s.refuse("a", verifier.ReasonInactive)
		s.edit = func(string) string { return s.served }
		s.refuse("b", verifier.ReasonInactive)
	})
}

// The keys live as those for access tokens do.
func TestSignedAnswerKeys(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newSigner(t)
		s.accept(opaque)
		time.Sleep(time.Minute)
		s.key = newKey(t, "ES256", "as-2") // rotated
		s.accept(opaque)
		s.asked(2)
	})
	t.Run("none to be had is an outage", func(t *testing.T) {
		s := newSigner(t)
		key := s.key
		s.network[server+":1"] = nil
		signing := s.network[server]
		s.network[server] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/jwks" {
				http.Error(w, "down", http.StatusBadGateway)
				return
			}
			signing.ServeHTTP(w, r)
		})
		if err := s.unavailable(opaque); strings.Contains(err.Error(), "introspection answer") || key.KeyID() == "" {
			t.Error(err)
		}
		if got := s.v.Status().Counts; got.Failed != 1 || got.BadAnswers != 0 {
			t.Errorf("counted as %+v", got)
		}
	})
}

// RFC 9701 §8.1: a signed answer is not an access token, to any verifier.
func TestSignedAnswerIsNoAccessToken(t *testing.T) {
	for name, header := range map[string]raw{
		"typ as it is": {"typ": `"token-introspection+jwt"`}, "typ removed": {"typ": ""}, "typ of an access token": nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t).warm()
			token := w.sign(header, w.payload(raw{"token_introspection": about(nil)}))
			w.refuse(token, verifier.ReasonType)
		})
	}
}

func TestSignedConfiguration(t *testing.T) {
	for name, change := range map[string]func(*verifier.IntrospectionConfig){
		"SignedAudience is required": func(c *verifier.IntrospectionConfig) { c.Signed = true },
		"which Signed does not ask for": func(c *verifier.IntrospectionConfig) {
			c.SignedAudience = clientID
		},
		strconv.Quote("HS256"): func(c *verifier.IntrospectionConfig) {
			c.Signed, c.SignedAudience, c.Algorithms = true, clientID, []string{"HS256"}
		},
	} {
		config := verifier.IntrospectionConfig{Resource: resource, Issuer: server, Auth: noAuth}
		change(&config)
		if _, err := verifier.NewIntrospection(config); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if errors.Is(verifier.ErrOurCredentials, verifier.ErrInvalidToken) {
		t.Error("classes mixed up")
	}
}
