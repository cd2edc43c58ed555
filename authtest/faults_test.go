package authtest_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
)

// fetch reads at most limit octets of the key set within a minute.
func fetch(t *testing.T, issuer *authtest.Issuer, transport http.RoundTripper, limit int64) (*http.Response, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer.URL()+"/jwks", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, limit))
	return response, string(text), err
}

func TestFault_in_memory(t *testing.T) {
	const limit = 1 << 20
	unavailable := http.Header{"Retry-After": {"7"}, "Content-Type": {"text/plain"}}
	tests := map[string]struct {
		fault   authtest.Fault
		err     error         // of the round trip or of reading
		status  int           // where there is an answer
		size    int           // octets read; -1: those of the key set
		prefix  string        // of the body
		header  [2]string     // one field
		elapsed time.Duration // virtual
	}{
		"down":      {fault: authtest.Down(), err: syscall.ECONNREFUSED},
		"hang":      {fault: authtest.Hang(), err: context.DeadlineExceeded, elapsed: time.Minute},
		"slow":      {fault: authtest.Slow(9 * time.Second), status: 200, size: -1, elapsed: 9 * time.Second},
		"too slow":  {fault: authtest.Slow(time.Hour), err: context.DeadlineExceeded, elapsed: time.Minute},
		"status":    {fault: authtest.Respond(503, unavailable, "busy"), status: 503, size: 4, prefix: "busy", header: [2]string{"Retry-After", "7"}},
		"html":      {fault: authtest.HTML(), status: 200, size: 70, prefix: "<!doctype html>", header: [2]string{"Content-Type", "text/html; charset=utf-8"}},
		"{}":        {fault: authtest.JSON("{}"), status: 200, size: 2, prefix: "{}", header: [2]string{"Content-Type", "application/json"}},
		"huge":      {fault: authtest.JSON(strings.Repeat("[", limit)), status: 200, size: limit},
		"endless":   {fault: authtest.Endless(), status: 200, size: limit, prefix: `{"keys":[ `},
		"gzip bomb": {fault: authtest.GzipBomb(100 << 20), status: 200, size: limit, prefix: `{"keys":[ `},
		"redirect":  {fault: authtest.Redirect("http://169.254.169.254/"), status: 302, header: [2]string{"Location", "http://169.254.169.254/"}},
		"truncate":  {fault: authtest.Truncate(), status: 200, size: -2, prefix: `{"keys":[`, err: io.ErrUnexpectedEOF},
		"trickle":   {fault: authtest.Trickle(7 * time.Second), status: 200, size: 8, prefix: `{"keys":`, err: context.DeadlineExceeded, elapsed: time.Minute},
		"good":      {fault: authtest.Flap(), status: 200, size: -1, prefix: `{"keys":[`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				issuer := authtest.NewIssuer(t, config())
				good := len(issuer.JWKS())
				issuer.SetFault(authtest.EndpointKeys, test.fault)
				begin := time.Now()
				response, text, err := fetch(t, issuer, issuer.Transport(), limit)
				if !errors.Is(err, test.err) {
					t.Errorf("error %v, want %v", err, test.err)
				}
				if got := time.Since(begin); got != test.elapsed {
					t.Errorf("took %v, want %v", got, test.elapsed)
				}
				if got := issuer.Hits(authtest.EndpointKeys); got != 1 {
					t.Errorf("%d hits, want 1", got)
				}
				if test.status == 0 {
					if response != nil {
						t.Errorf("an answer: %s", response.Status)
					}
					return
				}
				size := test.size
				switch size {
				case -1:
					size = good
				case -2:
					size = good / 2
				}
				if response.StatusCode != test.status || len(text) != size || !strings.HasPrefix(text, test.prefix) {
					t.Errorf("%s, %d octets %.20q, want %d, %d octets %q", response.Status, len(text), text, test.status, size, test.prefix)
				}
				if got := response.Header.Get(test.header[0]); got != test.header[1] {
					t.Errorf("%s %q, want %q", test.header[0], got, test.header[1])
				}
			})
		})
	}
}

func TestFault_over_a_socket(t *testing.T) {
	const limit = 1 << 20
	for name, test := range map[string]struct {
		fault   authtest.Fault
		refused bool // no answer at all
		broken  bool // an answer that breaks off
		size    int
	}{
		"down":      {fault: authtest.Down(), refused: true},
		"endless":   {fault: authtest.Endless(), size: limit},
		"gzip bomb": {fault: authtest.GzipBomb(10 << 20), size: limit},
		"truncate":  {fault: authtest.Truncate(), broken: true},
		"{}":        {fault: authtest.JSON("{}"), size: 2},
		"trickle":   {fault: authtest.Trickle(0), size: -1},
	} {
		t.Run(name, func(t *testing.T) {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			issuer := authtest.NewServer(t, config())
			good := len(issuer.JWKS())
			issuer.SetFault(authtest.EndpointKeys, test.fault)
			_, text, err := fetch(t, issuer, transport, limit)
			want := test.size
			if test.broken {
				want = good / 2
			} else if want < 0 {
				want = good
			}
			if (err != nil) != (test.refused || test.broken) || len(text) != want {
				t.Errorf("%d octets, want %d; error %v", len(text), want, err)
			}
		})
	}
}

func TestFault_hang_over_a_socket_ends_with_the_test(t *testing.T) {
	issuer := authtest.NewServer(t, config())
	arrived := make(chan struct{})
	announce := func(next http.Handler) http.Handler {
		close(arrived)
		return next
	}
	issuer.SetFault(authtest.EndpointAll, announce, authtest.Hang())
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, issuer.URL()+"/token", strings.NewReader("x=y"))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	failed := make(chan error, 1)
	go func() {
		response, err := transport.RoundTrip(request)
		if err == nil {
			_ = response.Body.Close()
		}
		failed <- err
	}()
	select {
	case err := <-failed:
		t.Fatalf("answered: %v", err)
	case <-arrived:
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestFault_gzip_bomb_is_small_on_the_wire(t *testing.T) {
	a := newCaller(t, config())
	a.issuer.SetFault(authtest.EndpointKeys, authtest.GzipBomb(20<<20))
	request := a.request(http.MethodGet, a.issuer.URL()+"/jwks", "", "")
	request.Header.Set("Accept-Encoding", "identity")
	response, err := a.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	wire, err := io.ReadAll(response.Body)
	if err != nil || len(wire) > 40<<10 || response.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("%d octets on the wire, Content-Encoding %q, %v", len(wire), response.Header.Get("Content-Encoding"), err)
	}
	zip, err := gzip.NewReader(strings.NewReader(string(wire)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil || len(text) != 20<<20 || !json.Valid(text) {
		t.Errorf("%d octets, valid JSON %v, %v", len(text), json.Valid(text), err)
	}
}

func TestFault_flap_goes_around(t *testing.T) {
	a := newCaller(t, config())
	a.issuer.SetFault(authtest.EndpointKeys, authtest.Flap(authtest.Respond(500, nil, ""), nil, authtest.HTML()))
	var got []int
	var kinds []string
	for range 6 {
		answer := a.get(a.issuer.URL() + "/jwks")
		got = append(got, answer.status)
		kinds = append(kinds, strings.SplitN(answer.header.Get("Content-Type"), ";", 2)[0])
	}
	if got[0] != 500 || got[1] != 200 || got[2] != 200 || got[3] != 500 || got[4] != 200 || got[5] != 200 {
		t.Errorf("statuses %v", got)
	}
	if kinds[1] != "application/json" || kinds[2] != "text/html" || kinds[4] != "application/json" || kinds[5] != "text/html" {
		t.Errorf("media types %q", kinds)
	}
}

func TestSetFault_concerns_its_endpoint_and_can_be_combined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCaller(t, config())
		a.issuer.SetFault(authtest.EndpointKeys, authtest.Slow(time.Second), authtest.Respond(500, nil, ""))
		begin := time.Now()
		if got := a.get(a.issuer.URL() + "/jwks"); got.status != 500 || time.Since(begin) != time.Second {
			t.Errorf("%d after %v", got.status, time.Since(begin))
		}
		if got := a.get(a.issuer.URL() + "/.well-known/openid-configuration"); got.status != http.StatusOK {
			t.Errorf("discovery: %d", got.status)
		}
		a.issuer.SetFault(authtest.EndpointAll, authtest.Respond(502, nil, ""))
		for _, path := range []string{"/jwks", "/.well-known/openid-configuration", "/authorize", "/unknown"} {
			if got := a.get(a.issuer.URL() + path); got.status != 502 {
				t.Errorf("%s: %d", path, got.status)
			}
		}
		a.issuer.SetFault(authtest.EndpointAll)
		if got := a.get(a.issuer.URL() + "/jwks"); got.status != 500 {
			t.Errorf("keys after the fault of all was lifted: %d", got.status)
		}
		a.issuer.ClearFaults()
		if got := a.get(a.issuer.URL() + "/jwks"); got.status != http.StatusOK {
			t.Errorf("cleared: %d", got.status)
		}
	})
}

func TestFault_truncate_after_down_stays_down(t *testing.T) {
	issuer := authtest.NewIssuer(t, config())
	issuer.SetFault(authtest.EndpointKeys, authtest.Truncate(), authtest.Down())
	if _, _, err := fetch(t, issuer, issuer.Transport(), 1); !errors.Is(err, io.EOF) {
		t.Errorf("error %v", err)
	}
}
