package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/authtest"
)

// DS-21: a configuration is replaced by a new Guard behind an atomic pointer.
// From then on no token of a removed issuer passes, remembered ones included.
func TestReplacedGuardForgetsRemovedIssuers(t *testing.T) {
	stays, goes := newIssuer(t, "https://stays.example"), newIssuer(t, "https://goes.example")
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	var current atomic.Pointer[http.Handler]
	install := func(issuers ...*authtest.Issuer) {
		handler := guardOf(t, issuers...).Require("files:read")(next)
		current.Store(&handler)
	}
	send := func(token string) int {
		r := httptest.NewRequest(http.MethodPost, resource, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		(*current.Load()).ServeHTTP(w, r)
		return w.Code
	}
	install(stays, goes)
	kept, removed := stays.Token(nil), goes.Token(nil)
	if send(kept) != http.StatusOK || send(removed) != http.StatusOK {
		t.Fatal("a good token is refused")
	}
	var load sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if status := send(kept); status != http.StatusOK {
					t.Errorf("DS-21 status %d for the issuer that stays", status)
					return
				}
				send(removed)
			}
		})
	}
	install(stays)
	for range 100 {
		if status := send(removed); status != http.StatusUnauthorized {
			t.Errorf("DS-21 status %d for the removed issuer", status)
		}
	}
	close(stop)
	load.Wait()
}
