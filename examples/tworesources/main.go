// Tworesources serves two MCP servers from one process, each a resource of its
// own: its own Guard, its own metadata, its own audience. A token for one is
// worth nothing at the other.
//
//	go run ./examples/tworesources -origin https://mcp.example.com -issuer https://login.example.com
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to listen on")
	origin := flag.String("origin", "http://127.0.0.1:8080", "scheme and host under which clients know this server")
	issuer := flag.String("issuer", "", "`URL` of the identity provider (required)")
	flag.Parse()

	handler, err := newHandler(*origin, *issuer)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tworesources:", err)
		os.Exit(2)
	}
	server := &http.Server{Addr: *listen, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, "tworesources:", err)
		os.Exit(1)
	}
}

// newHandler mounts both resources. The error joins the mistakes of both.
func newHandler(origin, issuer string) (http.Handler, error) {
	mux := http.NewServeMux()
	return mux, errors.Join(
		protect(mux, origin, "/files", issuer, "files:read"),
		protect(mux, origin, "/mail", issuer, "mail:read"),
	)
}

// protect mounts one resource and its metadata.
func protect(mux *http.ServeMux, origin, path, issuer, scope string) error {
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{
			Resource:             origin + path,
			AuthorizationServers: []string{issuer},
			ScopesSupported:      []string{scope},
		},
	})
	if err != nil {
		return err
	}
	mux.Handle(guard.Metadata().Path(), guard.Metadata())
	mux.Handle(path, guard.Require(scope)(http.HandlerFunc(greet)))
	return nil
}

// greet stands where an MCP server would.
func greet(w http.ResponseWriter, r *http.Request) {
	caller, ok := verifier.FromContext(r.Context())
	if !ok {
		http.Error(w, "nobody is logged in", http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "%s serves %s\n", r.URL.Path, caller.Subject)
}
