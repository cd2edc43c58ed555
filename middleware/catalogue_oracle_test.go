package middleware_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/authparam"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// catalogueRow is one request and the answer to it.
type catalogueRow struct {
	name   string
	token  string          // after "Bearer "
	want   int             // a short code; zero: invalidToken
	reason verifier.Reason // of an invalidToken; empty: any of the list
	field  string          // replaces the whole Authorization; "-": none
	edit   func(*http.Request)

	// direct goes through Check: net/http would not carry these octets.
	direct bool
	// refresh: a kid that fits no key may cause one fetch of a key set.
	refresh bool
	// introspect: the authorization server may be asked once.
	introspect bool
	// octets that may be allocated for a refusal; zero: 64 KiB.
	octets uint64

	// accepted says more about the identity that the handler must see; nil: the
	// claims of the usual token.
	accepted func(*verifier.Token) bool

	values []string // what the credential says, for O4
}

// catalogueAnswer is all that a request caused.
type catalogueAnswer struct {
	status int
	header http.Header
	body   string
	event  middleware.Event
	passed []*http.Request // to the handler
}

// catalogueBody is a request body that must stay as it is.
type catalogueBody struct{ reads int }

func (b *catalogueBody) Read([]byte) (int, error) { b.reads++; return 0, io.EOF }

func (row catalogueRow) request(body io.Reader) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/mcp", body)
	switch row.field {
	case "":
		r.Header["Authorization"] = []string{"Bearer " + row.token}
	case "-":
	default:
		r.Header["Authorization"] = []string{row.field}
	}
	if row.edit != nil {
		row.edit(r)
	}
	return r
}

// send sends the row once: O1, O2 and that there is one event.
func (w *catalogueWorld) send(t *testing.T, row catalogueRow) (answer catalogueAnswer) {
	t.Helper()
	defer func() {
		if cause := recover(); cause != nil {
			t.Fatalf("O2: panic: %v", cause)
		}
	}()
	body := new(catalogueBody)
	r := row.request(body)
	events, passed := len(w.events), len(w.next.requests)
	recorder := httptest.NewRecorder()
	w.serve(recorder, r, row.direct)
	if body.reads > 0 {
		t.Errorf("O2: the body was read %d times", body.reads)
	}
	if len(w.events) != events+1 {
		t.Fatalf("O7: %d events", len(w.events)-events)
	}
	return catalogueAnswer{recorder.Code, recorder.Header(), recorder.Body.String(), w.events[events], w.next.requests[passed:]}
}

func (w *catalogueWorld) serve(writer http.ResponseWriter, r *http.Request, direct bool) {
	if !direct {
		w.door.ServeHTTP(writer, r)
		return
	}
	token, err := w.guard.Check(r, w.policy)
	if refusal, ok := errors.AsType[*middleware.Refusal](err); ok {
		refusal.ServeHTTP(writer, r)
		return
	}
	w.next.ServeHTTP(writer, r.WithContext(verifier.NewContext(r.Context(), token)))
}

// assert sends the row twice with a good token between, and applies every oracle.
func (w *catalogueWorld) assert(t *testing.T, row catalogueRow) {
	t.Helper()
	asked := len(w.network.since(0))
	row.values = catalogueValues(catalogueCredential(row.request(nil)))
	first := w.send(t, row)
	w.assertAnswer(t, row, first)
	// O8: neither verdict has touched the other.
	if between := w.send(t, catalogueRow{token: w.a.Token(nil)}); between.status != http.StatusOK {
		t.Errorf("O8: then a good token was answered %d: %v", between.status, between.event.Err)
	}
	second := w.send(t, row)
	w.assertAnswer(t, row, second)
	if first.status != second.status || first.body != second.body || first.event.Reason != second.event.Reason || !maps.EqualFunc(first.header, second.header, slices.Equal) {
		t.Errorf("O8: two answers: %v, then %v", first, second)
	}
	w.assertCost(t, row)

	var allowed []string
	if row.refresh {
		allowed = w.addresses
	}
	if row.introspect {
		allowed = []string{w.a.URL() + "/introspect"}
	}
	outbound := w.network.since(asked)
	if len(outbound) > 1 || len(outbound) == 1 && !slices.Contains(allowed, outbound[0]) {
		t.Errorf("O6: outbound requests: %q", outbound)
	}
}

func (w *catalogueWorld) assertAnswer(t *testing.T, row catalogueRow, answer catalogueAnswer) {
	t.Helper()
	want := row.want
	if want == 0 {
		want = invalidToken
	}
	w.assertSilence(t, row, answer)
	if want == ok {
		w.assertAccepted(t, row, answer)
		return
	}
	if len(answer.passed) > 0 { // O1
		t.Fatalf("O1: the handler ran; want %d", want)
	}
	expected := catalogueAnswers[want]
	if answer.status != expected.status || answer.event.Outcome != expected.outcome || answer.event.Status != expected.status {
		t.Fatalf("answered %d, %s, %v; want %d, %s", answer.status, answer.event.Outcome, answer.event.Err, expected.status, expected.outcome)
	}
	if answer.event.Token != nil || answer.event.Err == nil {
		t.Fatalf("event %+v", answer.event)
	}
	if strings.Contains(answer.event.Err.Error(), "the Verifier let it pass") {
		t.Errorf("only the front door's second look refused: %v", answer.event.Err)
	}
	if want == invalidToken { // O7
		if !slices.Contains(verifier.Reasons(), answer.event.Reason) || row.reason != "" && answer.event.Reason != row.reason {
			t.Errorf("O7: reason %q, want %q: %v", answer.event.Reason, row.reason, answer.event.Err)
		}
	} else if answer.event.Reason != "" {
		t.Errorf("O7: reason %q", answer.event.Reason)
	}
	names := slices.Sorted(maps.Keys(answer.header)) // O5
	if !slices.Equal(names, []string{"Cache-Control", "Content-Type", "Www-Authenticate", "X-Content-Type-Options"}) {
		t.Errorf("O5: header fields %q", names)
	}
	if got := answer.header["Cache-Control"]; !slices.Equal(got, []string{"no-store"}) { // O8
		t.Errorf("O8: Cache-Control %q", got)
	}
	catalogueChallenge(t, expected, answer)
}

// catalogueExpected is the form of one kind of refusal.
type catalogueExpected struct {
	status  int
	outcome middleware.Outcome
	code    string   // error in the body
	params  []string // of the challenge
	texts   []string // the closed list of descriptions
}

var catalogueAnswers = map[int]catalogueExpected{
	invalidToken: {401, middleware.OutcomeInvalidToken, "invalid_token", []string{"error", "error_description", "scope", "resource_metadata"}, []string{
		"The access token is malformed.", "The signature of the access token cannot be verified.", "The token is not an access token.",
		"The access token is from an issuer that is not trusted here.", "The access token lacks a claim that is needed.",
		"The access token has expired.", "The access token is not valid yet.", "The access token is for another resource.",
		"The access token is bound to a key, and the proof is missing.", "The access token is not active.", "The access token is not valid here.",
	}},
	unauthenticated:   {401, middleware.OutcomeUnauthenticated, "unauthorized", []string{"resource_metadata", "scope"}, []string{"This resource needs an access token."}},
	insufficientScope: {403, middleware.OutcomeInsufficientScope, "insufficient_scope", []string{"error", "error_description", "scope", "resource_metadata"}, []string{"The access token lacks a scope that this operation needs."}},
	invalidRequest: {400, middleware.OutcomeInvalidRequest, "invalid_request", []string{"error", "error_description", "resource_metadata"}, []string{
		"The access token is sent in more than one way.", "The Authorization field is not of the form: Bearer, a space, one token.",
	}},
}

// catalogueChallenge is O3: one challenge that we wrote, and a body that agrees.
func catalogueChallenge(t *testing.T, expected catalogueExpected, answer catalogueAnswer) {
	t.Helper()
	fields := answer.header["Www-Authenticate"]
	if len(fields) != 1 {
		t.Fatalf("O3: %d challenges", len(fields))
	}
	challenges, err := authparam.Parse(fields[0])
	if err != nil || len(challenges) != 1 || challenges[0].Scheme != "Bearer" {
		t.Fatalf("O3: %q: %v", fields[0], err)
	}
	var names []string
	for _, param := range challenges[0].Params {
		names = append(names, param.Name)
	}
	if !slices.Equal(names, expected.params) {
		t.Errorf("O3: parameters %q, want %q", names, expected.params)
	}
	if got, _ := challenges[0].Get("resource_metadata"); got != metadataURL {
		t.Errorf("O3: resource_metadata %q", got)
	}
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal([]byte(answer.body), &body); err != nil || body.Error != expected.code || !slices.Contains(expected.texts, body.Description) {
		t.Errorf("O5: body %q", answer.body)
	}
	if got, has := challenges[0].Get("error"); has && got != expected.code {
		t.Errorf("O3: error %q", got)
	}
	if got, has := challenges[0].Get("error_description"); has && got != body.Description {
		t.Errorf("O3: description %q, body %q", got, body.Description)
	}
}

func (w *catalogueWorld) assertAccepted(t *testing.T, row catalogueRow, answer catalogueAnswer) {
	t.Helper()
	if answer.status != http.StatusOK || len(answer.passed) != 1 || answer.event.Outcome != middleware.OutcomeAllowed {
		t.Fatalf("answered %d, the handler ran %d times: %v", answer.status, len(answer.passed), answer.event.Err)
	}
	token, found := verifier.FromContext(answer.passed[0].Context())
	if !found || !row.direct && answer.passed[0].Header["Authorization"] != nil {
		t.Fatal("the handler sees no token, or the credential itself")
	}
	usual := token.Issuer == w.a.URL() && token.Subject == catalogueSubject && token.ClientID == catalogueClient && token.Scopes.Has("files:read")
	if row.accepted == nil && !usual || row.accepted != nil && !row.accepted(token) {
		t.Errorf("identity: issuer %q, subject %q, client %q, scopes %q", token.Issuer, token.Subject, token.ClientID, token.Scopes)
	}
	if answer.event.Token == nil || answer.event.Err != nil || answer.event.Reason != "" {
		t.Errorf("event %+v", answer.event)
	}
}

// assertSilence is O4: neither answer nor event repeats the credential or a claim.
func (w *catalogueWorld) assertSilence(t *testing.T, row catalogueRow, answer catalogueAnswer) {
	t.Helper()
	var told strings.Builder
	fmt.Fprintf(&told, "%v\n%s\n%+v\n%#v\n", answer.header, answer.body, answer.event, answer.event)
	catalogueTell(&told, answer.event.Err)
	catalogueNoPiece(t, told.String(), catalogueCredential(row.request(nil)))
	for _, value := range row.values {
		if len(value) >= 8 && !strings.Contains(w.constants, strings.TrimSpace(value)) && strings.Contains(told.String(), value) {
			t.Errorf("O4: %q is in %s", value, told.String())
		}
	}
}

// catalogueCredential returns all that a request says of its caller.
func catalogueCredential(r *http.Request) string {
	return strings.Join(r.Header["Authorization"], "\n") + "\n" + r.URL.RawQuery
}

// catalogueTell writes an error and all that it wraps.
func catalogueTell(b *strings.Builder, err error) {
	if err == nil {
		return
	}
	fmt.Fprintf(b, "%s\n%+v\n%#v\n", err.Error(), err, err)
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		catalogueTell(b, wrapper.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range wrapper.Unwrap() {
			catalogueTell(b, inner)
		}
	}
}

// catalogueNoPiece looks for every piece of 16 octets; in what is very long, for
// one after the other, which finds any leak of 31.
func catalogueNoPiece(t *testing.T, told, secret string) {
	t.Helper()
	const size = 16
	pieces := make(map[string]bool)
	for i := 0; i+size <= len(told); i++ {
		pieces[told[i:i+size]] = true
	}
	step := 1
	if len(secret) > catalogueLong {
		step = size
	}
	for i := 0; i+size <= len(secret); i += step {
		if pieces[secret[i:i+size]] {
			at := strings.Index(told, secret[i:i+size])
			t.Fatalf("O4: the piece %q is in ...%s...", secret[i:i+size], told[max(0, at-200):min(len(told), at+200)])
		}
	}
}

var catalogueString = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"(\s*:)?|[0-9]{8,}`)

// catalogueLong is the length from which not everything is looked at.
const catalogueLong = 64 << 10

// catalogueValues returns the strings and long numbers in a credential, however
// broken it is.
func catalogueValues(credential string) (values []string) {
	if len(credential) > catalogueLong {
		credential = credential[:catalogueLong]
	}
	texts := []string{credential}
	lenient := strings.NewReplacer("+", "-", "/", "_", "=", "", "\n", "", "\r", "")
	for part := range strings.FieldsFuncSeq(credential, func(r rune) bool { return strings.ContainsRune(". \",&", r) }) {
		part = lenient.Replace(part)
		decoded, err := base64.RawURLEncoding.DecodeString(part[:len(part)-len(part)%4])
		if err == nil {
			texts = append(texts, string(decoded))
		}
	}
	for _, text := range texts {
		for _, match := range catalogueString.FindAllStringSubmatch(text, -1) {
			switch {
			case match[2] != "": // a name
			case match[1] == "":
				values = append(values, match[0])
			default:
				values = append(values, match[1])
				var plain string
				if json.Unmarshal([]byte(`"`+match[1]+`"`), &plain) == nil {
					values = append(values, plain)
				}
			}
		}
	}
	return values
}

// assertCost is O6. The median of allocations and the shortest time count: the work
// is the same every time, and others share the machine.
func (w *catalogueWorld) assertCost(t *testing.T, row catalogueRow) {
	t.Helper()
	if catalogueRace {
		return
	}
	const runs = 5
	r, sink := row.request(nil), discard{make(http.Header)}
	var octets []uint64
	var elapsed []time.Duration
	var before, after runtime.MemStats
	for range runs {
		runtime.ReadMemStats(&before)
		start := time.Now()
		w.serve(sink, r, row.direct)
		elapsed = append(elapsed, time.Since(start))
		runtime.ReadMemStats(&after)
		octets = append(octets, after.TotalAlloc-before.TotalAlloc)
	}
	slices.Sort(octets)
	slices.Sort(elapsed)
	limit := row.octets
	if limit == 0 {
		limit = 64 << 10
	}
	if got := octets[runs/2]; row.want != ok && got > limit {
		t.Errorf("O6: %d octets allocated, at most %d allowed", got, limit)
	}
	if got := elapsed[0]; got > 5*time.Millisecond {
		t.Errorf("O6: %v of work", got)
	}
}
