//go:build e2e

package e2e

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"e2e","version":"1"}}}`

func TestServerStartsWithoutItsProviderAndRecoversWithoutARestart(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys.json")
	port := freePort(t)
	listener := listen(t)
	f := direct(t, listener.Addr().String())

	before := startProvider(t, providerConfig{keys: keys, port: port})
	token := before.machineToken(t, f.resource, "mcp:tools")
	before.stop()

	s := serve(t, listener, f.resource, before.issuer, nil)
	for range 3 {
		response := post(t, f, token)
		if response.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("status %d while the provider is down, want 503", response.StatusCode)
		}
		if challenge := response.Header.Get("WWW-Authenticate"); challenge != "" {
			t.Errorf("challenge %q on an outage: the client would throw its token away", challenge)
		}
		retryAfter(t, response)
	}
	if response := post(t, f, ""); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d without a token, want 401: that needs no provider", response.StatusCode)
	}

	after := startProvider(t, providerConfig{keys: keys, port: port})
	if after.issuer != before.issuer {
		t.Fatalf("issuer %q, want %q again", after.issuer, before.issuer)
	}
	// A client that does as Retry-After says must get through.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	up := time.Now()
	for {
		response := post(t, f, token)
		if response.StatusCode == http.StatusOK {
			break
		}
		if response.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("status %d after the provider came up", response.StatusCode)
		}
		select {
		case <-time.After(retryAfter(t, response)):
		case <-ctx.Done():
			t.Fatalf("no recovery: %v", s.events.all()[len(s.events.all())-1].Err)
		}
	}
	t.Logf("recovered %v after the provider was up", time.Since(up).Round(time.Millisecond))
}

// retryAfter reads Retry-After, which must be seconds and short.
func retryAfter(t *testing.T, response *http.Response) time.Duration {
	t.Helper()
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > 10 {
		t.Fatalf("Retry-After %q, want 1 to 10 seconds", response.Header.Get("Retry-After"))
	}
	return time.Duration(seconds) * time.Second
}

// post sends an initialize request; no token, no Authorization.
func post(t *testing.T, f front, token string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.resource, strings.NewReader(initialize))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{
		"Content-Type": {"application/json"},
		"Accept":       {"application/json, text/event-stream"},
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := f.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<20))
	return response
}
