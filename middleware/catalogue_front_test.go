package middleware_test

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-mcp/gatehouse/metrics"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func (c *catalogue) credentials(t *testing.T) {
	w := c.world(t)
	good := w.good()
	for _, scheme := range []string{"bearer", "BEARER", "BeArEr"} {
		w.rows(t, catalogueRow{name: "HT-05 " + scheme, field: scheme + " " + good, want: ok})
	}
	query := func(text string) func(*http.Request) { return func(r *http.Request) { r.URL.RawQuery = text } }
	bad := w.token(nil, catalogueRaw{"exp": "1"})
	w.rows(t,
		catalogueRow{name: "HT-12 a good token in the query alone", field: "-", edit: query("access_token=" + good), want: unauthenticated},
		catalogueRow{name: "HT-13 a bad token in the query beside a good field, ours is 400", token: good, edit: query("access_token=" + bad), want: invalidRequest},
		catalogueRow{name: "HT-13 the same token in both, ours is 400", token: good, edit: query("access_token=" + good), want: invalidRequest},
	)
	// The body notices when it is read.
	form := func(method string, length int64) func(*http.Request) {
		return func(r *http.Request) {
			r.Method, r.ContentLength = method, length
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	}
	w.rows(t,
		catalogueRow{name: "HT-14 form", field: "-", edit: form(http.MethodPost, 1000), want: unauthenticated},
		catalogueRow{name: "HT-14 chunked form", field: "-", edit: form(http.MethodPost, -1), want: unauthenticated},
		catalogueRow{name: "HT-14 GET with a form", field: "-", edit: form(http.MethodGet, 1000), want: unauthenticated},
		catalogueRow{name: "HT-14 form beside a bad token", token: bad, edit: form(http.MethodPost, 1000), reason: verifier.ReasonExpired},
	)
}

// wire has the rows in which net/http has a say, over a socket.
func (c *catalogue) wire(t *testing.T) {
	w := c.world(t)
	server := httptest.NewServer(w.door)
	defer server.Close()
	good := w.good()
	middle := len(good) / 2
	for _, test := range []struct {
		name, token string
		want        []int
	}{
		{"TS-06 1 MiB of dots, over the wire", strings.Repeat(".", 1<<20), []int{401, 431}},
		{"TS-06 8 KiB of dots, over the wire", strings.Repeat(".", 8<<10), []int{401}},
		{"TS-21 2 MiB, over the wire", strings.Repeat("a", 2<<20), []int{431}},
		{"TS-15 LF inside, over the wire", good[:middle] + "\n" + good[middle:], []int{400}},
		{"TS-15 CR inside, over the wire", good[:middle] + "\r" + good[middle:], []int{400}},
		{"TS-15 a folded line, over the wire", good[:middle] + "\r\n " + good[middle:], []int{400}},
		{"TS-18 NUL inside, over the wire", good[:middle] + "\x00" + good[middle:], []int{400}},
		{"TS-18 octet 0xff inside, over the wire", good[:middle] + "\xff" + good[middle:], []int{401}},
		{"TS-18 fullwidth dots, over the wire", strings.ReplaceAll(good, ".", "\uff0e"), []int{401}},
		{"HT-05 control: a good token, over the wire", good, []int{200}},
	} {
		c.row(t, test.name, func(t *testing.T) {
			before := len(w.next.requests)
			status, told := catalogueDial(t, server.Listener.Addr().String(), test.token)
			found := false
			for _, want := range test.want {
				found = found || status == want
			}
			if !found {
				t.Errorf("answered %d, want one of %v", status, test.want)
			}
			if (len(w.next.requests) > before) != (status == 200) {
				t.Error("O1: the handler ran for what was refused, or did not for what was not")
			}
			catalogueNoPiece(t, told, test.token)
		})
	}
}

// catalogueDial sends one request, octet by octet as given, on a connection of its
// own. A server may stop reading a field that is too long.
func catalogueDial(t *testing.T, address, token string) (status int, told string) {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = fmt.Fprintf(connection, "POST /mcp HTTP/1.1\r\nHost: mcp.example.com\r\nConnection: close\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n\r\n", token)
	}()
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var all bytes.Buffer
	if err := response.Write(&all); err != nil && all.Len() == 0 {
		t.Fatal(err)
	}
	_ = connection.Close()
	<-written
	return response.StatusCode, all.String()
}

// labels is about series: a thousand odd requests make none.
func (c *catalogue) labels(t *testing.T) {
	c.row(t, "DS-11 a thousand random requests make no series", func(t *testing.T) {
		counted := metrics.New(metrics.Config{Resources: []string{resource}})
		w := c.world(t, func(s *catalogueSetup) { s.config.Observe = counted.Observe })
		registry := prometheus.NewPedanticRegistry()
		if err := registry.Register(counted); err != nil {
			t.Fatal(err)
		}
		series := func() (n int) {
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, family := range families {
				n += len(family.Metric)
			}
			return n
		}
		text := func() string { return fmt.Sprintf("random-%016x", rand.Uint64()) }
		quoted := func() string { return strconv.Quote(text()) }
		signed := func(header, claims catalogueRaw) string {
			return catalogueSign("ES256", catalogueHeader(catalogueRaw{"alg": `"ES256"`, "kid": `"e1"`}, header), w.payload(claims))
		}
		send := func() {
			url := "https://" + text() + ".example"
			for _, row := range []catalogueRow{
				{token: signed(catalogueRaw{"kid": quoted()}, nil)},
				{token: signed(catalogueRaw{"alg": quoted()}, nil)},
				{token: signed(catalogueRaw{"typ": quoted()}, nil)},
				{token: signed(nil, catalogueRaw{"iss": strconv.Quote(url)})},
				{token: signed(nil, catalogueRaw{"aud": strconv.Quote(url)})},
				{token: signed(nil, catalogueRaw{"client_id": quoted(), "sub": quoted(), "jti": quoted(), "tid": quoted(), "azp": quoted()})},
				{token: signed(nil, catalogueRaw{"scope": quoted()})},
				{token: text()},
				{field: text() + " " + text()},
				{field: "Bearer " + text() + " " + text()},
				{field: "-"},
			} {
				row.edit = func(r *http.Request) {
					r.Method, r.URL.Path, r.Host = strings.ToUpper(text()), "/"+text(), text()
					r.Header.Set("User-Agent", text())
				}
				w.send(t, row)
			}
		}
		// What an event says, besides what is in no label.
		kinds := func() int {
			seen := make(map[string]bool)
			for _, e := range w.events {
				seen[fmt.Sprint(e.Resource, e.Outcome, e.Reason, e.Issuer, e.Status)] = true
			}
			return len(seen)
		}
		send()
		before, kindsBefore := series(), kinds()
		for range 100 {
			send()
		}
		if after := series(); after != before || before == 0 {
			t.Errorf("%d series, then %d", before, after)
		}
		if after := kinds(); after != kindsBefore {
			t.Errorf("%d kinds of events, then %d", kindsBefore, after)
		}
	})
}

// logs sends what would forge a log line; O4 then looks for it in the event.
func (c *catalogue) logs(t *testing.T) {
	w := c.world(t)
	for name, text := range map[string]string{
		"CRLF": "\r\nlevel=error msg=forged-0123456789", "ANSI": "\x1b[31mforged-0123456789\x1b[0m", "a quote": `forged-0123456789" level="error`,
		"bidi": "forged-\u202e0123456789", "backspaces": "forged-0123456789\b\b\b\b", "a percent": "forged-0123456789%s%n%d", "300 KiB": strings.Repeat("forged-", 300<<10/7),
	} {
		quoted := catalogueQuoted(text)
		for _, row := range []catalogueRow{
			{name: "kid", token: w.token(catalogueRaw{"kid": quoted}, nil), refresh: true},
			{name: "typ", token: w.token(catalogueRaw{"typ": quoted}, nil)},
			{name: "alg", token: w.token(catalogueRaw{"alg": quoted}, nil)},
			{name: "iss", token: w.token(nil, catalogueRaw{"iss": quoted})},
			{name: "aud", token: w.token(nil, catalogueRaw{"aud": quoted})},
			{name: "sub of an expired token", token: w.token(nil, catalogueRaw{"sub": quoted, "exp": "1"})},
			{name: "scope", token: w.token(nil, catalogueRaw{"scope": `"files:write"`, "jti": `"` + catalogueID + `"`, "x": quoted}), want: insufficientScope},
		} {
			if len(text) > 1<<10 {
				row.want, row.reason, row.refresh = 0, verifier.ReasonTooLarge, false
			}
			row.name = "DS-15 " + name + " in " + row.name
			w.rows(t, row)
		}
	}
	for _, e := range w.events {
		e.Duration = 0 // prints a letter of its own
		for _, r := range fmt.Sprintf("%+v", e) {
			if r < ' ' || r > '~' {
				t.Fatalf("DS-15: an event prints %q", r)
			}
		}
	}
}
