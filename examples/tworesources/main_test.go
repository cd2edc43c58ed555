package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/authtest"
)

const origin = "http://127.0.0.1:8080"

func TestEachResourceTakesOnlyItsOwnTokens(t *testing.T) {
	issuer := authtest.NewServer(t, authtest.Config{Resources: []string{origin + "/files", origin + "/mail"}})
	handler, err := newHandler(origin, issuer.URL())
	if err != nil {
		t.Fatal(err)
	}
	// Both scopes, so that nothing but the audience tells the resources apart.
	token := func(path string) string {
		return issuer.Token(authtest.Claims{"aud": origin + path, "scope": "files:read mail:read"})
	}
	for _, at := range []string{"/files", "/mail"} {
		for _, tokenFor := range []string{"/files", "/mail"} {
			t.Run("a token for "+tokenFor+" at "+at, func(t *testing.T) {
				want := http.StatusUnauthorized
				if at == tokenFor {
					want = http.StatusOK
				}
				answer := get(handler, at, token(tokenFor))
				if answer.Code != want {
					t.Errorf("status %d, want %d: %s", answer.Code, want, answer.Body)
				}
				if got := strings.Contains(answer.Body.String(), at+" serves user-1"); got != (want == http.StatusOK) {
					t.Errorf("body %q", answer.Body)
				}
			})
		}
	}
}

func TestEachResourceHasItsOwnMetadata(t *testing.T) {
	handler, err := newHandler(origin, "https://login.example.com")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/files", "/mail"} {
		url := "/.well-known/oauth-protected-resource" + path
		var document struct{ Resource string }
		if err := json.Unmarshal(get(handler, url, "").Body.Bytes(), &document); err != nil || document.Resource != origin+path {
			t.Errorf("%s describes %q: %v", url, document.Resource, err)
		}
		challenge := get(handler, path, "").Header().Get("WWW-Authenticate")
		if !strings.Contains(challenge, `"`+origin+url+`"`) {
			t.Errorf("%s challenges with %q", path, challenge)
		}
	}
}

func TestMistakesOfBothResourcesAreNamed(t *testing.T) {
	_, err := newHandler("http://mcp.example.com", "")
	if err == nil || !strings.Contains(err.Error(), "/files") || !strings.Contains(err.Error(), "/mail") {
		t.Errorf("error %v", err)
	}
}

func get(handler http.Handler, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, origin+path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}
