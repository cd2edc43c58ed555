package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
)

const (
	postAddress = "https://as.example/introspect"
	postSecret  = "token-0123456789abcdef"
)

// answering is a transport that gives one answer and keeps the requests.
type answering struct {
	status   int
	header   http.Header
	body     string
	requests []*http.Request
	bodies   []string
}

func (a *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	a.requests, a.bodies = append(a.requests, r), append(a.bodies, string(text))
	header := a.header
	if header == nil {
		header = http.Header{"Content-Type": {"application/json"}}
	}
	return &http.Response{StatusCode: a.status, Header: header, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

func post(t *testing.T, a *answering, address string) (*fetch.Answer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return fetch.NewClient(a).Post(ctx, address, http.Header{"Accept": {"application/json"}}, url.Values{"token": {postSecret + "&x=y"}})
}

func TestPost_sends_exactly_this(t *testing.T) {
	a := &answering{status: 200, body: "{}"}
	if _, err := post(t, a, postAddress); err != nil {
		t.Fatal(err)
	}
	want := http.Header{"Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "Content-Type": {"application/x-www-form-urlencoded"}}
	got := a.requests[0]
	for name, values := range got.Header {
		if !slices.Equal(values, want[name]) {
			t.Errorf("%s: %q, want %q", name, values, want[name])
		}
	}
	if len(got.Header) != len(want) || got.Method != http.MethodPost || a.bodies[0] != "token="+postSecret+"%26x%3Dy" {
		t.Errorf("%s with %d fields and body %q", got.Method, len(got.Header), a.bodies[0])
	}
}

func TestPost_returns_media_type_and_body(t *testing.T) {
	for field, want := range map[string]string{
		"application/json": "application/json", "Application/JSON; charset=utf-8": "application/json", "": "", "a b c;;": "",
	} {
		a := &answering{status: 200, body: "body", header: http.Header{"Content-Type": {field}}}
		got, err := post(t, a, postAddress)
		if err != nil || got.MediaType != want || string(got.Body) != "body" {
			t.Errorf("%q: %v, %+v", field, err, got)
		}
	}
}

func TestPost_IN_05_every_other_status_is_an_error(t *testing.T) {
	for _, status := range []int{201, 204, 206, 301, 302, 303, 307, 308, 400, 401, 403, 404, 429, 500, 502, 503, 504} {
		a := &answering{status: status, body: `{"active":true}`, header: http.Header{"Location": {"https://evil.example/"}, "Retry-After": {"7"}}}
		_, err := post(t, a, postAddress)
		got, ok := errors.AsType[*fetch.StatusError](err)
		if !ok || got.Status != status || got.RetryAfter != 7*time.Second || len(a.requests) != 1 {
			t.Errorf("%d: %v after %d requests", status, err, len(a.requests))
		}
	}
}

func TestPost_reads_registered_error_codes_only(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":"invalid_client","error_description":"` + postSecret + `"}`: "invalid_client",
		`{"error":"` + postSecret + `"}`:                                      "",
		`{"error":1}`:                                                         "",
		`{"error":"invalid_client","error":"invalid_grant"}`:                  "",
		`{"Error":"invalid_client"}`:                                          "",
		`["invalid_client"]`:                                                  "",
		postSecret:                                                            "",
		`{"error":"invalid_client","x":"` + strings.Repeat("x", 4<<10) + `"}`: "",
	} {
		_, err := post(t, &answering{status: 400, body: body}, postAddress)
		code := ""
		if got, ok := errors.AsType[*fetch.OAuthError](err); ok {
			code = got.Code
		}
		if status, ok := errors.AsType[*fetch.StatusError](err); !ok || status.Status != 400 || code != want {
			t.Errorf("%.60s: %v", body, err)
		}
		if strings.Contains(err.Error(), postSecret) {
			t.Errorf("the error repeats the server: %v", err)
		}
	}
	// A code in an outage's page says nothing.
	_, err := post(t, &answering{status: 503, body: `{"error":"invalid_client"}`}, postAddress)
	if _, ok := errors.AsType[*fetch.OAuthError](err); ok {
		t.Errorf("503: %v", err)
	}
}

func TestPost_reads_what_Entra_adds_to_a_code(t *testing.T) {
	const claims = `{\"access_token\":{}}`
	for body, want := range map[string][2]string{
		`{"error":"invalid_grant","suberror":"consent_required","claims":"` + claims + `"}`: {"consent_required", `{"access_token":{}}`},
		`{"error":"invalid_grant","suberror":7,"claims":{"a":1}}`:                           {},
		`{"error":"invalid_grant","suberror":null,"claims":"` + postSecret + `"}`:           {"", postSecret},
	} {
		_, err := post(t, &answering{status: 400, body: body}, postAddress)
		got, ok := errors.AsType[*fetch.OAuthError](err)
		if !ok || got.Code != "invalid_grant" || got.Suberror != want[0] || got.Claims != want[1] {
			t.Errorf("%s: %v", body, err)
		}
		if strings.Contains(fmt.Sprintf("%v %+v %s", err, err, err), postSecret) {
			t.Errorf("the error repeats the server: %v", err)
		}
	}
}

func TestPost_IN_16_size_limit(t *testing.T) {
	if _, err := post(t, &answering{status: 200, body: strings.Repeat("x", fetch.MaxBody)}, postAddress); err != nil {
		t.Error(err)
	}
	if _, err := post(t, &answering{status: 200, body: strings.Repeat("x", fetch.MaxBody+1)}, postAddress); !errors.Is(err, fetch.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
	zipped := &answering{status: 200, body: "x", header: http.Header{"Content-Encoding": {"gzip"}}}
	if _, err := post(t, zipped, postAddress); err == nil {
		t.Error("a compressed answer was accepted")
	}
}

func TestPost_asks_no_address_that_CheckURL_refuses(t *testing.T) {
	for _, address := range []string{"", "http://as.example/", "https://u:p@as.example/", "https://as.example/#f", "ftp://as.example/"} {
		a := &answering{status: 200, body: "{}"}
		if _, err := post(t, a, address); err == nil || len(a.requests) != 0 {
			t.Errorf("%q: %v after %d requests", address, err, len(a.requests))
		}
	}
}

func TestIsJSON(t *testing.T) {
	for mediaType, want := range map[string]bool{
		"application/json": true, "application/problem+json": true, "text/html": false, "": false, "text/json": false,
		"application/jwt": false, "application/token-introspection+jwt": false, "application/jsonp": false, "image/x+json": false,
	} {
		if fetch.IsJSON(mediaType) != want {
			t.Errorf("%q: %v", mediaType, !want)
		}
	}
}
