package main

import "net/http"

// A contender is one way to protect a handler. All of them do the same job: a
// bearer token of one issuer with a good signature, the right iss and aud, an
// exp ahead, and the scope files:read.
type contender struct {
	name       string
	algorithms []string // that it can verify; the others are n/a
	// protect builds the middleware for tokens of algorithm from i, with its
	// keys loaded, around next.
	protect func(i *issuer, algorithm string, next http.Handler) (http.Handler, error)
}

func contenders() []contender { return append([]contender{gatehouse()}, peers()...) }

// A reply is a ResponseWriter that keeps nothing but the status. It is reused,
// so that the benchmark measures the middleware and not a recorder.
type reply struct {
	header http.Header
	status int
}

func newReply() *reply { return &reply{header: make(http.Header)} }

func (r *reply) Header() http.Header { return r.header }

func (r *reply) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *reply) Write(body []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return len(body), nil
}

// serve answers one request and returns the status.
func (r *reply) serve(h http.Handler, request *http.Request) int {
	clear(r.header)
	r.status = 0
	h.ServeHTTP(r, request)
	return r.status
}

// accepted is what the bare handler answers; no middleware does.
const accepted = http.StatusNoContent

// bareHandler is the handler behind every contender.
func bareHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(accepted) })
}

// newRequest returns an MCP request as clients send it. It is only read by the
// contenders, so one serves many goroutines.
func newRequest(token string) *http.Request {
	request, err := http.NewRequest(http.MethodPost, resource, http.NoBody)
	if err != nil {
		panic(err) // resource is a constant
	}
	request.RequestURI = "/mcp"
	request.RemoteAddr = "192.0.2.1:40000"
	request.Header = http.Header{
		"Authorization":        {"Bearer " + token},
		"Accept":               {"application/json, text/event-stream"},
		"Accept-Encoding":      {"gzip"},
		"Content-Type":         {"application/json"},
		"Mcp-Protocol-Version": {"2025-11-25"},
		"User-Agent":           {"client/1.0"},
	}
	return request
}

func newRequests(tokens []signed) []*http.Request {
	requests := make([]*http.Request, len(tokens))
	for i, token := range tokens {
		requests[i] = newRequest(token.text)
	}
	return requests
}
