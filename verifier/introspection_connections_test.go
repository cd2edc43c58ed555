package verifier_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// TestIntrospectionBoundsAHang on real connections: no more of them than questions,
// and nothing is left.
func TestIntrospectionBoundsConnections(t *testing.T) {
	const most = 8
	base := runtime.NumGoroutine()
	var opened atomic.Int64
	hanging := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // until then, nobody notices that the client left
		<-r.Context().Done()
	}))
	hanging.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	hanging.Start()
	i := newInspector(t, func(c *verifier.IntrospectionConfig) {
		c.Endpoint, c.Transport, c.MaxConcurrent, c.Timeout = hanging.URL, nil, most, 300*time.Millisecond
	})
	var wg sync.WaitGroup
	for n := range 500 {
		wg.Go(func() {
			_, err := i.v.Verify(context.Background(), fmt.Sprint("token-", n))
			isUnavailable(t, err)
		})
	}
	wg.Wait()
	// Who waited until the end may have had a slot for its last moment.
	if n := opened.Load(); n == 0 || n > 2*most {
		t.Errorf("%d connections for %d questions at a time", n, most)
	}
	hanging.Close() // with what the transport keeps for later
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > base; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), base)
		}
	}
}
