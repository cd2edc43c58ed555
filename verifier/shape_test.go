package verifier_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// both is a verifier of either kind, and what was asked of the opaque one.
type both struct {
	*world
	v     verifier.Verifier
	asked []string
}

func newBoth(t testing.TB, introspected ...string) *both {
	t.Helper()
	b := &both{world: newWorld(t).warm()}
	var err error
	b.v, err = verifier.ByShape(verifier.ByShapeConfig{
		JWT: b.jwt,
		Opaque: verifier.Func(func(_ context.Context, token string) (*verifier.Token, error) {
			b.asked = append(b.asked, token)
			return &verifier.Token{Issuer: "opaque"}, nil
		}),
		IntrospectJWTs: introspected,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestByShapeSendsEachTokenToOneVerifier(t *testing.T) {
	encode := base64.RawURLEncoding.EncodeToString
	b := newBoth(t)
	unknown := b.token(raw{"iss": `"https://unknown.example"`})
	forged := signWith(t, newKey(t, "ES256", b.issuer.Key().KeyID()), nil, b.payload(nil))
	good := b.token(nil)
	parts := strings.Split(good, ".")
	for _, c := range []struct {
		name   string
		token  string
		opaque bool
		want   verifier.Reason // of the JWT verifier; empty: accepted
	}{
		{name: "JWT of ours", token: good},
		{name: "IN-30 JWT of ours, forged", token: forged, want: verifier.ReasonSignature},
		{name: "IN-30 JWT of ours, expired", token: b.token(raw{"exp": "1"}), want: verifier.ReasonExpired},
		{name: "IN-30 JWT of ours, for another resource", token: b.token(raw{"aud": `"x"`}), want: verifier.ReasonAudience},
		{name: "IN-30 JWT of ours, alg none", token: b.sign(raw{"alg": `"none"`}, b.payload(nil)), want: verifier.ReasonAlgorithm},
		{name: "IN-30 JWT of ours with crit", token: b.sign(raw{"crit": `["x"]`}, b.payload(nil)), want: verifier.ReasonHeader},
		{name: "IN-30 JWT of ours, padded", token: good + "=", want: verifier.ReasonMalformed},
		{name: "IN-30 JWT of ours, header padded", token: parts[0] + "=." + parts[1] + "." + parts[2], want: verifier.ReasonMalformed},
		{name: "IN-30 JWT of ours, no signature", token: parts[0] + "." + parts[1] + ".", want: verifier.ReasonSignature},
		{name: "IN-30 JWT of ours, white space in the header", token: encode([]byte(" \n{}")) + "." + parts[1] + "." + parts[2], want: verifier.ReasonAlgorithm},
		{name: "IN-30 JWT of ours, more white space", token: encode([]byte("      {}")) + "." + parts[1] + "." + parts[2], want: verifier.ReasonAlgorithm},
		{name: "IN-30 JWT of ours, byte order mark", token: encode([]byte("\ufeff{}")) + "." + parts[1] + "." + parts[2], want: verifier.ReasonMalformed},
		{name: "IN-30 JWT of ours, line break in the header", token: "\n" + encode([]byte("\n{}")) + "." + parts[1] + "." + parts[2], want: verifier.ReasonMalformed},
		{name: "IN-30 JWT of ours, standard alphabet", token: base64.StdEncoding.EncodeToString([]byte(" {\"a\":\"\xc3\xbf\xc3\xbe?>\"}")) + "." + parts[1] + "." + parts[2], want: verifier.ReasonMalformed},
		{name: "IN-30 JWT with iss twice", token: b.sign(nil, `{"iss":"https://unknown.example",`+b.payload(nil)[1:]), want: verifier.ReasonMalformed},
		{name: "IN-30 JWT with payload that is none", token: b.sign(nil, "[]"), want: verifier.ReasonMalformed},
		{name: "IN-29 JWT of an issuer that JWT does not know", token: unknown, opaque: true},
		{name: "JWT without iss", token: b.token(raw{"iss": ""}), opaque: true},
		{name: "opaque", token: opaque, opaque: true},
		{name: "opaque with dots", token: "a.b.c", opaque: true},
		{name: "opaque with dots all over", token: "....", opaque: true},
		{name: "encrypted", token: parts[0] + ".a.b.c.d", opaque: true},
		{name: "empty", token: "", opaque: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.asked = nil
			got, err := b.v.Verify(context.Background(), c.token)
			if c.opaque {
				if err != nil || got.Issuer != "opaque" || len(b.asked) != 1 || b.asked[0] != c.token {
					t.Errorf("%v, asked %d times", err, len(b.asked))
				}
				return
			}
			if len(b.asked) != 0 {
				t.Errorf("it was introspected")
			}
			if c.want != "" {
				isInvalid(t, err, c.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// A provider whose JWTs must be introspected gets all of them, good or bad.
func TestByShapeIntrospectsTheJWTsOfSomeIssuers(t *testing.T) {
	b := newBoth(t, authtest.DefaultURL)
	for _, token := range []string{b.token(nil), b.token(raw{"exp": "1"}), signWith(t, newKey(t, "ES256", "x"), nil, b.payload(nil))} {
		b.asked = nil
		if got, err := b.v.Verify(context.Background(), token); err != nil || got.Issuer != "opaque" || len(b.asked) != 1 {
			t.Errorf("%v, asked %d times", err, len(b.asked))
		}
	}
}

// Not even one that the JWT verifier remembers from elsewhere is spared.
func TestByShapeIntrospectsWhatTheJWTVerifierRemembers(t *testing.T) {
	b := newBoth(t, authtest.DefaultURL)
	token := b.token(nil)
	b.accept(token)
	if got, err := b.v.Verify(context.Background(), token); err != nil || got.Issuer != "opaque" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestByShapeRemembersJWTs(t *testing.T) {
	b := newBoth(t)
	before := b.jwt.CacheStatus()
	token := b.token(nil)
	for range 3 {
		if got, err := b.v.Verify(context.Background(), token); err != nil || got.Issuer != authtest.DefaultURL {
			t.Errorf("%v, %v", got, err)
		}
	}
	if after := b.jwt.CacheStatus(); after.Misses-before.Misses != 1 || after.Hits-before.Hits != 2 {
		t.Errorf("%d misses and %d hits of three requests", after.Misses-before.Misses, after.Hits-before.Hits)
	}
}

// An issuer known only at run time counts as configured.
func TestByShapeResolves(t *testing.T) {
	issuer := authtest.NewIssuer(t, authtest.Config{Resources: []string{resource}})
	asked := 0
	build := func(resolve func(context.Context, string) (*verifier.Issuer, error)) verifier.Verifier {
		v, err := verifier.ByShape(verifier.ByShapeConfig{
			JWT: newJWT(t, verifier.JWTConfig{Resource: resource, Transport: issuer.Transport(), Resolve: resolve}),
			Opaque: verifier.Func(func(context.Context, string) (*verifier.Token, error) {
				asked++
				return &verifier.Token{}, nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	known := build(func(context.Context, string) (*verifier.Issuer, error) {
		return &verifier.Issuer{URL: issuer.URL()}, nil
	})
	if _, err := known.Verify(context.Background(), issuer.Token(nil)); err != nil || asked != 0 {
		t.Errorf("%v, asked %d times", err, asked)
	}
	failing := build(func(context.Context, string) (*verifier.Issuer, error) { return nil, errors.New("database") })
	_, err := failing.Verify(context.Background(), issuer.Token(nil))
	if isUnavailable(t, err); asked != 0 {
		t.Errorf("asked %d times", asked)
	}
}

func TestByShapeWithIntrospection(t *testing.T) {
	i := newInspector(t)
	w := newWorld(t).warm()
	v, err := verifier.ByShape(verifier.ByShapeConfig{JWT: w.jwt, Opaque: i.v})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{opaque, w.token(nil)} {
		if _, err := verify(t, v, token); err != nil {
			t.Error(err)
		}
	}
	_, err = verify(t, v, w.token(raw{"exp": "1"}))
	isInvalid(t, err, verifier.ReasonExpired)
	i.asked(1)
	ready, ok := v.(interface{ Ready(context.Context) error })
	if !ok {
		t.Fatal("no Ready")
	}
	if err := ready.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	i.endpoint.fail(faulty(authtest.Down()))
}

func TestByShapeReportsEveryMistake(t *testing.T) {
	_, err := verifier.ByShape(verifier.ByShapeConfig{IntrospectJWTs: []string{""}})
	for _, want := range []string{"JWT is required", "Opaque is required", "IntrospectJWTs"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	var none *verifier.Introspection
	if _, err := verifier.ByShape(verifier.ByShapeConfig{JWT: new(verifier.JWT), Opaque: none}); err == nil {
		t.Error("a nil *Introspection was accepted")
	}
}
