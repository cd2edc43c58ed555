package authtest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// TB is the part of testing.TB that this package needs.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Endpoint names what a request is for, to count requests and to set faults.
type Endpoint string

// The endpoints.
const (
	EndpointDiscovery  Endpoint = "discovery"
	EndpointKeys       Endpoint = "keys"
	EndpointAuthorize  Endpoint = "authorize"
	EndpointToken      Endpoint = "token"
	EndpointRegister   Endpoint = "register"
	EndpointIntrospect Endpoint = "introspect"
	EndpointRevoke     Endpoint = "revoke"
	// EndpointAll stands for every request, unknown paths included.
	EndpointAll Endpoint = "all"
)

// An Issuer is a fake authorization server, and the http.Handler that serves it.
// It keeps everything in memory, within fixed bounds. It is safe for concurrent
// use. Make one with New, NewIssuer or NewServer; the zero value knows no path,
// no key and no resource.
type Issuer struct {
	config Config
	tb     TB
	path   string // of the issuer URL, escaped, without a trailing slash
	routes map[string]route
	keys   keyring
	grants grants

	mu     sync.Mutex
	hits   map[Endpoint]int
	faults map[Endpoint][]Fault
}

type route struct {
	endpoint Endpoint
	methods  string
	serve    http.HandlerFunc
}

// New returns an issuer for programs; tests use NewIssuer or NewServer. It does
// no I/O. The error names every mistake of config.
func New(config Config) (*Issuer, error) {
	config, err := config.complete()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(config.URL)
	if err != nil {
		return nil, fmt.Errorf("authtest: URL %q: %w", config.URL, err)
	}
	issuer := &Issuer{
		config: config,
		path:   strings.TrimSuffix(u.EscapedPath(), "/"),
	}
	issuer.keys.init(config.Algorithms)
	issuer.grants.init(config.Clients)
	issuer.mount()
	return issuer, nil
}

// NewIssuer returns an issuer that is reached through its Transport only. A
// mistake in config fails the test.
func NewIssuer(tb TB, config Config) *Issuer {
	tb.Helper()
	issuer, err := New(config)
	if err != nil {
		tb.Fatalf("%v", err)
		return nil
	}
	issuer.tb = tb
	return issuer
}

// NewServer returns an issuer that listens on a loopback port until the test
// ends. Its URL is http://127.0.0.1:port with the path of config.URL. Not for
// synctest bubbles: use NewIssuer there.
func NewServer(tb TB, config Config) *Issuer {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("authtest: %v", err)
		return nil
	}
	u, err := url.Parse(config.URL)
	if err != nil {
		_ = listener.Close()
		tb.Fatalf("authtest: URL %q is not a URL", config.URL)
		return nil
	}
	config.URL = "http://" + listener.Addr().String() + u.EscapedPath()
	issuer, err := New(config)
	if err != nil {
		_ = listener.Close()
		tb.Fatalf("%v", err)
		return nil
	}
	issuer.tb = tb
	server := &http.Server{Handler: issuer, ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	tb.Cleanup(func() {
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			tb.Fatalf("authtest: %v", err)
		}
	})
	return issuer
}

// URL returns the issuer identifier.
func (i *Issuer) URL() string { return i.config.URL }

// Transport returns a client's side of an in-memory connection: it serves this
// issuer's origin, and no other host exists. See Network for several.
func (i *Issuer) Transport() http.RoundTripper {
	u, err := url.Parse(i.config.URL)
	if err != nil {
		return Network{}
	}
	return Network{origin(u): i}
}

// Hits returns how many requests an endpoint received, those that met a fault
// included and CORS preflights excluded.
func (i *Issuer) Hits(endpoint Endpoint) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.hits[endpoint]
}

// mount fills the routes. Paths are compared in their escaped form and without
// cleaning, so that a client with a sloppy URL is found out.
func (i *Issuer) mount() {
	i.routes = map[string]route{
		i.path + "/jwks":       {EndpointKeys, "GET, HEAD", i.serveKeys},
		i.path + "/authorize":  {EndpointAuthorize, "GET, POST", i.serveAuthorize},
		i.path + "/token":      {EndpointToken, "POST", i.serveToken},
		i.path + "/introspect": {EndpointIntrospect, "POST", i.serveIntrospect},
		i.path + "/revoke":     {EndpointRevoke, "POST", i.serveRevoke},
	}
	if !i.config.NoRegistration {
		i.routes[i.path+"/register"] = route{EndpointRegister, "POST", i.serveRegister}
	}
	for _, form := range i.config.Discovery {
		i.routes[i.discoveryPath(form)] = route{EndpointDiscovery, "GET, HEAD", i.serveMetadata}
	}
}

// ServeHTTP answers at every path of the issuer's URL.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	matched, known := i.routes[r.URL.EscapedPath()]
	if !known {
		matched = route{methods: "GET, HEAD", serve: http.NotFound}
	}
	// RFC 9700 §2.6: the authorization endpoint is for navigation only. Unknown
	// paths take part, because pages probe for metadata.
	if matched.endpoint != EndpointAuthorize {
		allowCORS(w.Header(), matched.methods)
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if known && !slices.Contains(strings.Split(matched.methods, ", "), r.Method) {
			w.Header().Set("Allow", matched.methods)
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		matched.serve(w, r)
	})
	for _, fault := range slices.Backward(i.count(matched.endpoint)) {
		handler = fault(handler)
	}
	handler.ServeHTTP(w, r)
}

// count records a request and returns the faults that it meets, outermost first.
func (i *Issuer) count(endpoint Endpoint) []Fault {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.hits == nil {
		i.hits = make(map[Endpoint]int)
	}
	i.hits[EndpointAll]++
	if endpoint == "" {
		return i.faults[EndpointAll]
	}
	i.hits[endpoint]++
	return slices.Concat(i.faults[EndpointAll], i.faults[endpoint])
}

// allowCORS lets pages of every origin call, because no answer depends on
// ambient credentials such as cookies.
func allowCORS(header http.Header, methods string) {
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Allow-Methods", methods+", OPTIONS")
	header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, MCP-Protocol-Version")
	header.Set("Access-Control-Expose-Headers", "WWW-Authenticate")
	header.Set("Access-Control-Max-Age", "600")
}

// fail reports a mistake of the test itself: it cannot be returned without
// making every call in every test two lines longer.
func (i *Issuer) fail(err error) {
	if i.tb == nil {
		panic(err)
	}
	i.tb.Helper()
	i.tb.Fatalf("%v", err)
}
