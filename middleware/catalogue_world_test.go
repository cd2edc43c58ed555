package middleware_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// The claim values are long enough to be recognized wherever they turn up.
const (
	catalogueSubject = "subject-8f14e45fceea167a5a36"
	catalogueClient  = "client-c9f0f895fb98ab9159f5"
	catalogueID      = "jti-45c48cce2e2d7fbdea1afc51"
	catalogueA       = "https://a.example"
	catalogueB       = "https://b.example"
)

// catalogueSetup is what a world is made from.
type catalogueSetup struct {
	urlA, urlB string
	keys       []string // the JWKs that A publishes
	a, b       verifier.Issuer
	config     middleware.Config
	policy     scopes.Policy
	clients    []authtest.Client // of A
	verifier   func([]verifier.Issuer, http.RoundTripper) verifier.Verifier
}

// catalogueWorld is a Guard that trusts issuers A and B, and knows their keys. A
// publishes r1, e1, e3, e5, d1 and its own; B has its own keys under the names
// e1 and r1.
type catalogueWorld struct {
	c         *catalogue
	a, b      *authtest.Issuer
	network   *catalogueNetwork
	guard     *middleware.Guard
	policy    scopes.Policy
	door      http.Handler
	next      *spy
	events    []middleware.Event
	addresses []string // of the key sets
	constants string   // of the configuration, which answers and events may name
}

func (c *catalogue) world(t *testing.T, changes ...func(*catalogueSetup)) *catalogueWorld {
	t.Helper()
	setup := catalogueSetup{urlA: catalogueA, urlB: catalogueB, policy: scopes.Policy{Base: scopes.All("files:read")}}
	setup.keys = catalogueKeys().published()
	setup.config.Metadata = prm.Metadata{Resource: resource, ScopesSupported: []string{"files:read", "files:write"}}
	for _, change := range changes {
		change(&setup)
	}
	w := &catalogueWorld{c: c, next: &spy{}, policy: setup.policy}
	issuer := func(url string, clients ...authtest.Client) *authtest.Issuer {
		return authtest.NewIssuer(t, authtest.Config{
			URL: url, Clients: clients, Resources: []string{resource}, Scopes: []string{"files:read", "files:write"}, Subject: catalogueSubject,
		})
	}
	w.a, w.b = issuer(setup.urlA, setup.clients...), issuer(setup.urlB)
	own, err := w.a.Key().JWK()
	if err != nil {
		t.Fatal(err)
	}
	w.a.SetJWKS([]byte(`{"keys":[` + strings.Join(append(setup.keys, string(own)), ",") + `]}`))
	w.b.SetKeys(catalogueKeys().foreignEC, catalogueKeys().foreignRSA)

	setup.a.URL, setup.b.URL = w.a.URL(), w.b.URL()
	for _, i := range []verifier.Issuer{setup.a, setup.b} {
		w.addresses = append(w.addresses, strings.TrimSuffix(i.URL, "/")+"/jwks")
	}
	w.network = &catalogueNetwork{inner: catalogueHosts(w.a, w.b)}
	setup.config.Issuers = []verifier.Issuer{setup.a, setup.b}
	setup.config.Transport = w.network
	if setup.verifier != nil {
		setup.config.Verifier = setup.verifier(setup.config.Issuers, w.network)
	}
	observe := setup.config.Observe
	setup.config.Observe = func(ctx context.Context, e middleware.Event) {
		w.events = append(w.events, e)
		if observe != nil {
			observe(ctx, e)
		}
	}
	if w.guard, err = middleware.New(setup.config); err != nil {
		t.Fatal(err)
	}
	w.door = w.guard.Protect(setup.policy)(w.next)
	w.constants = strings.Join([]string{resource, metadataURL, w.a.URL(), w.b.URL(), "files:read files:write"}, "\n")
	w.assertAnswer(t, catalogueRow{token: w.good(), want: ok}, w.send(t, catalogueRow{token: w.good(), want: ok}))
	if answer := w.send(t, catalogueRow{token: w.b.Token(nil)}); answer.status != http.StatusOK {
		t.Fatalf("B is not trusted: %d, %v", answer.status, answer.event.Err)
	}
	return w
}

// rows runs each row as a subtest.
func (w *catalogueWorld) rows(t *testing.T, rows ...catalogueRow) {
	for _, row := range rows {
		w.c.row(t, row.name, func(t *testing.T) { w.assert(t, row) })
	}
}

// catalogueNetwork counts every request that leaves the machine, to whomever.
type catalogueNetwork struct {
	inner http.RoundTripper
	mu    sync.Mutex
	asked []string
}

func (n *catalogueNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	n.asked = append(n.asked, r.URL.String())
	n.mu.Unlock()
	return n.inner.RoundTrip(r)
}

// since returns the requests after the first n.
func (n *catalogueNetwork) since(first int) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.asked[first:])
}

// catalogueHosts serves both issuers, also where they are tenants of one host.
func catalogueHosts(a, b *authtest.Issuer) authtest.Network {
	hosts := make(authtest.Network)
	for _, issuer := range []*authtest.Issuer{a, b} {
		u, err := url.Parse(issuer.URL())
		if err != nil {
			panic(err)
		}
		other, path := hosts["https://"+u.Host], strings.TrimSuffix(u.Path, "/")
		hosts["https://"+u.Host] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if other != nil && !strings.Contains(r.URL.Path, path) {
				other.ServeHTTP(w, r)
				return
			}
			issuer.ServeHTTP(w, r)
		})
	}
	return hosts
}

// catalogueRaw replaces members of an object by JSON texts; "" removes one. Names
// stand as they are, escapes included.
type catalogueRaw map[string]string

func catalogueObject(members catalogueRaw, changes ...catalogueRaw) string {
	for _, change := range changes {
		maps.Copy(members, change)
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if members[name] != "" {
			list = append(list, `"`+name+`":`+members[name])
		}
	}
	return "{" + strings.Join(list, ",") + "}"
}

// payload returns the claims of a good token of A.
func (w *catalogueWorld) payload(changes ...catalogueRaw) string {
	return catalogueObject(catalogueRaw{
		"iss": strconv.Quote(w.a.URL()), "aud": strconv.Quote(resource), "sub": `"` + catalogueSubject + `"`,
		"client_id": `"` + catalogueClient + `"`, "jti": `"` + catalogueID + `"`, "scope": `"files:read"`,
		"iat": catalogueIn(0), "exp": catalogueIn(5 * time.Minute),
	}, changes...)
}

// catalogueIn returns the NumericDate of now and d.
func catalogueIn(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }

// catalogueHeader returns the header of a good token.
func catalogueHeader(changes ...catalogueRaw) string {
	return catalogueObject(catalogueRaw{"alg": `"RS256"`, "kid": `"r1"`, "typ": `"at+jwt"`}, changes...)
}

// catalogueNamed returns the header of a good token by another key.
func catalogueNamed(alg, kid string) string {
	return catalogueHeader(catalogueRaw{"alg": strconv.Quote(alg), "kid": strconv.Quote(kid)})
}

func (w *catalogueWorld) good() string { return w.token(nil, nil) }

// token returns a token of A, signed by r1 with RS256 whatever its header says.
func (w *catalogueWorld) token(header, claims catalogueRaw) string {
	return catalogueSign("RS256", catalogueHeader(header), w.payload(claims))
}

// catalogueQuoted returns s as JSON.
func catalogueQuoted(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("%q: %v", s, err))
	}
	return string(text)
}
