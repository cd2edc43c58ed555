package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A transcript prints what happened, as numbered steps of aligned rows.
type transcript struct {
	w     io.Writer
	steps int
}

const (
	rowFormat  = "      %-24s  %s\n"
	hangFormat = "      %-24s    %s\n"
)

func (t *transcript) title(setup setup) {
	kind := "embedded, for demonstrations only"
	if setup.external {
		kind = "external"
	}
	fmt.Fprintf(t.w, "Gatehouse quickstart\n\n")
	t.row("MCP server", setup.resource)
	t.row("authorization server", setup.issuer)
	t.row("", "("+kind+")")
	if setup.backEnd != "" {
		t.row("the other API", setup.backEnd)
	}
	if setup.introspect {
		t.row("access tokens", "opaque, to be introspected (RFC 7662)")
	} else {
		t.row("access tokens", "JWTs (RFC 9068)")
	}
}

func (t *transcript) step(title string) {
	t.steps++
	fmt.Fprintf(t.w, "\n%3d.  %s\n", t.steps, title)
}

func (t *transcript) row(name, value string) {
	line := fmt.Sprintf(rowFormat, name, value)
	fmt.Fprint(t.w, strings.TrimRight(line, " \n")+"\n")
}

// hang prints lines that belong to the row above.
func (t *transcript) hang(lines ...string) {
	for _, line := range lines {
		fmt.Fprintf(t.w, hangFormat, "", line)
	}
}

// count prints a counter that belongs to the row above, unless it is zero.
func (t *transcript) count(name string, value float64) {
	if value > 0 {
		t.hang(fmt.Sprintf("%-20s %v", name, value))
	}
}

// claims prints those claims of a token that belong to the story.
func (t *transcript) claims(all map[string]any) {
	for _, name := range []string{"iss", "aud", "sub", "act", "client_id", "scope", "exp"} {
		value, ok := all[name]
		if !ok {
			continue
		}
		if seconds, ok := value.(float64); ok && name == "exp" {
			value = time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339)
		}
		if inner, ok := value.(map[string]any); ok { // act
			value = fmt.Sprintf("sub=%v", inner["sub"])
		}
		t.hang(fmt.Sprintf("%-10s %v", name, value))
	}
}

// status prints the status line of an answer.
func (t *transcript) status(response *http.Response) {
	t.row("status", response.Status)
}

// challenge prints a WWW-Authenticate field as it is, one parameter a line.
func (t *transcript) challenge(field string) {
	scheme, parameters, _ := strings.Cut(field, " ")
	t.row("WWW-Authenticate", scheme)
	t.hang(strings.Split(strings.ReplaceAll(parameters, `", `, "\",\n"), "\n")...)
}

// query prints a URL, one parameter a line, with secret parameters hidden.
func (t *transcript) query(name string, u *url.URL, secrets ...string) {
	bare := *u
	bare.RawQuery = ""
	t.row(name, bare.String())
	values := u.Query()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		value := values.Get(key)
		if slices.Contains(secrets, key) {
			value = notShown
		}
		t.hang(key + "=" + value)
	}
}

func (t *transcript) failed(err error) { t.row("FAILED", err.Error()) }

func (t *transcript) farewell(setup setup) {
	fmt.Fprintf(t.w, "\nThe server stays up. Connect an MCP client of your own to\n\n      %s\n\nCtrl-C ends it.\n", setup.resource)
}

// A secret cannot be printed by accident.
type secret string

// Format prints a constant, for every verb.
func (secret) Format(state fmt.State, _ rune) { io.WriteString(state, notShown) }

const notShown = "(not shown)"
