// Quickstart protects the tools of an MCP server, each by its own scopes, and then
// plays its client to show what happens on the wire, from the first 401 to a call
// of another API as the user and a step-up of scopes.
//
//	go run ./examples/quickstart
//
// It needs no configuration: it brings an authorization server of its own, which
// lets everybody in and is therefore for demonstrations only. With -issuer it
// uses a real one. With -introspect, tokens are opaque, and the MCP server asks
// the authorization server about them. server.go is the part to copy.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the command line.
type options struct {
	once       bool
	listen     string
	issuer     string
	resource   string
	scope      string
	introspect bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.once, "once", false, "exit after the transcript, with 0 only if every step held")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8080", "`address` of the MCP server")
	flags.StringVar(&o.issuer, "issuer", "", "`URL` of an identity provider to use instead of the embedded one")
	flags.StringVar(&o.resource, "resource", "", "`URL` under which clients know the MCP server (default http://<listen>/mcp)")
	flags.StringVar(&o.scope, "scope", "mcp:tools", "`scope` that protected_data needs")
	flags.BoolVar(&o.introspect, "introspect", false, "issue opaque tokens, and ask the authorization server about them (embedded one only)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.introspect && o.issuer != "":
		err = fmt.Errorf("-introspect needs credentials at the issuer, and has none for -issuer %q", o.issuer)
	}
	if err != nil {
		fmt.Fprintln(stderr, "quickstart:", err)
	}
	return o, err
}

// run is main without the process. It returns the exit status: 0 if every step
// held, 1 if not, 2 for a wrong command line.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	options, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	if err := play(ctx, options, &transcript{w: stdout}); err != nil {
		fmt.Fprintln(stderr, "quickstart:", err)
		return 1
	}
	return 0
}

// play starts the servers, tells the story and, unless it is to be told once,
// waits for the end of ctx.
func play(ctx context.Context, o options, out *transcript) (err error) {
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("%w (choose another address with -listen, such as 127.0.0.1:0)", err)
	}
	defer listener.Close()
	setup := setup{
		issuer: o.issuer, resource: o.resource, scope: o.scope, external: o.issuer != "",
		introspect: o.introspect, secret: secret(rand.Text()),
	}
	if setup.resource == "" {
		setup.resource = "http://" + reachable(listener.Addr()) + "/mcp"
	}
	if !setup.external {
		behind, err := loopback()
		if err != nil {
			return err
		}
		defer behind.Close()
		setup.backEnd = "http://" + behind.Addr().String() + "/reports"
		issuer, err := startIssuer(setup)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, issuer.stop()) }()
		setup.issuer = issuer.url
		backEnd, err := startBackEnd(behind, setup)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, backEnd.stop()) }()
	}

	handler, err := newHandler(setup)
	if err != nil {
		return err
	}
	server := start(listener, handler)
	defer func() { err = errors.Join(err, server.stop()) }()

	story, err := newStory(setup, out)
	if err != nil {
		return err
	}
	told := story.tell(ctx)
	if o.once || ctx.Err() != nil {
		return told
	}
	out.farewell(setup)
	select {
	case <-ctx.Done():
		return told
	case err := <-server.failed:
		return err
	}
}

// reachable returns the address at which this machine reaches a listener that
// may listen on every interface.
func reachable(address net.Addr) string {
	tcp, ok := address.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return address.String()
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
}
