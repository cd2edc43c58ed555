package mcpgo_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/mcpgo"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// intruders know alice's session id and have credentials of their own.
var intruders = map[string]string{
	"another user":                         "bob",
	"the same subject, another issuer":     "alice-of-b",
	"issuer and subject cut elsewhere":     "shifted",
	"a subject that imitates another user": "imitator",
	"a token without subject":              "subjectless",
	"nobody":                               "",
}

// MB-47, MB-49: neither another user nor the same subject of another issuer.
func TestASessionBelongsToItsUser(t *testing.T) {
	requests := map[string]struct {
		method, body string
		header       map[string]string
	}{
		"call":              {http.MethodPost, callBody, nil},
		"call, modern":      {http.MethodPost, callBody, map[string]string{mcp.HeaderProtocolVersion: modern}},
		"answer to a call":  {http.MethodPost, `{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}`, nil},
		"initialize again":  {http.MethodPost, initializeBody, nil},
		"stream":            {http.MethodGet, "", nil},
		"stream, reconnect": {http.MethodGet, "", map[string]string{"Last-Event-ID": "1"}},
		"end":               {http.MethodDelete, "", nil},
		"HEAD":              {http.MethodHead, "", nil},
	}
	for who, credential := range intruders {
		for what, request := range requests {
			t.Run(who+"/"+what, func(t *testing.T) {
				b, at := newServer(t)
				alice, _ := at.connect(t, legacy, "alice")
				call(t, alice)
				before := b.toolRuns.Load()

				header := inSession(alice.GetSessionId())
				for name, value := range request.header {
					header[name] = value
				}
				answer, body := at.send(t, request.method, request.body, credential, header)

				if answer.StatusCode != http.StatusNotFound {
					t.Errorf("status %d, want 404", answer.StatusCode)
				}
				if answer.Header.Get(server.HeaderKeySessionID) != "" || strings.Contains(body, alice.GetSessionId()) || strings.Contains(body, "u1") {
					t.Errorf("the answer tells of the session: %q", body)
				}
				if got := b.toolRuns.Load(); got != before {
					t.Error("the tool ran")
				}
				if got := call(t, alice); got != issuerA+" u1 read" {
					t.Errorf("afterwards the owner is %q", got)
				}
			})
		}
	}
}

func TestOthersAndUnknownSessionsLookAlike(t *testing.T) {
	_, at := newServer(t)
	alice := at.initialize(t, "alice")
	theirs, theirsBody := at.send(t, http.MethodPost, callBody, "bob", inSession(alice))
	unknown, unknownBody := at.send(t, http.MethodPost, callBody, "bob", inSession(strings.Repeat("A", len(alice))))
	theirs.Header.Del("Date")
	unknown.Header.Del("Date")
	if theirs.StatusCode != unknown.StatusCode || theirsBody != unknownBody || fmt.Sprint(theirs.Header) != fmt.Sprint(unknown.Header) {
		t.Errorf("%d %v %q\n%d %v %q", theirs.StatusCode, theirs.Header, theirsBody, unknown.StatusCode, unknown.Header, unknownBody)
	}
}

func TestTheOwnerMayEndTheSession(t *testing.T) {
	b, at := newServer(t)
	id := at.initialize(t, "alice")
	if b.mcp.SendNotificationToSpecificClient(id, "notifications/x", nil) != nil {
		t.Fatal("mcp-go does not know the session")
	}
	if answer, body := at.send(t, http.MethodDelete, "", "alice", inSession(id)); answer.StatusCode != http.StatusOK {
		t.Errorf("status %d, %s", answer.StatusCode, body)
	}
	if b.mcp.SendNotificationToSpecificClient(id, "notifications/x", nil) == nil {
		t.Error("mcp-go still knows the session")
	}
}

func TestASessionGoesOnOnAnotherReplicaWithTheSameKey(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	replica := func(config mcpgo.SessionsConfig) endpoint {
		sessions := newSessions(t, config)
		return serve(t, sessions.Bind(newBackend(sessions, nil).transport))
	}
	first := replica(mcpgo.SessionsConfig{Key: key})
	second := replica(mcpgo.SessionsConfig{Key: key})
	stranger := replica(mcpgo.SessionsConfig{})
	clear(key) // it is copied
	zeroed := replica(mcpgo.SessionsConfig{Key: key})

	id := first.initialize(t, "alice")
	for _, test := range []struct {
		name       string
		at         endpoint
		credential string
		want       int
	}{
		{"its user", second, "alice", http.StatusOK},
		{"another user", second, "bob", http.StatusNotFound},
		{"its user, random key", stranger, "alice", http.StatusNotFound},
		{"its user, key of zeros", zeroed, "alice", http.StatusNotFound},
	} {
		if answer, body := test.at.send(t, http.MethodPost, callBody, test.credential, inSession(id)); answer.StatusCode != test.want {
			t.Errorf("%s: status %d, want %d: %s", test.name, answer.StatusCode, test.want, body)
		}
	}
	id = stranger.initialize(t, "alice")
	if answer, _ := zeroed.send(t, http.MethodPost, callBody, "alice", inSession(id)); answer.StatusCode != http.StatusNotFound {
		t.Errorf("the random key is not random: status %d", answer.StatusCode)
	}
}

// Login in mid-session: clients go on with the id they have.
func TestAnAnonymousSessionBelongsToNobody(t *testing.T) {
	b, at := newServer(t)
	c, credential := at.connect(t, legacy, "")
	session := func(want string) string {
		t.Helper()
		if got := call(t, c); got != want {
			t.Errorf("the tool saw %q, want %q", got, want)
		}
		id, _ := b.session.Load().(string)
		return id
	}
	nobodys := session("nobody")
	if nobodys != c.GetSessionId() || nobodys == "" {
		t.Errorf("the server calls the session %q, the client %q", nobodys, c.GetSessionId())
	}
	if answer, body := at.send(t, http.MethodPost, callBody, "", inSession(nobodys)); answer.StatusCode != http.StatusOK {
		t.Errorf("another anonymous caller: status %d, %s", answer.StatusCode, body)
	}

	seen := map[string]string{nobodys: "nobody"}
	for _, who := range []struct{ credential, caller string }{
		{"alice", issuerA + " u1 read"},
		{"bob", issuerA + " u2 read write"},
		{"alice-of-b", issuerB + " u1 read"},
	} {
		credential.current.Store(who.credential)
		id := session(who.caller)
		if owner, taken := seen[id]; taken {
			t.Errorf("%s shares the server's session with %s", who.credential, owner)
		}
		seen[id] = who.credential
		if again := session(who.caller); again != id {
			t.Errorf("%s went on in another session", who.credential)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		if answer, _ := at.send(t, method, callBody, "subjectless", inSession(nobodys)); answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s with a token without subject: status %d", method, answer.StatusCode)
		}
	}
}

func TestATokenWithoutSubjectOpensNoSession(t *testing.T) {
	b, at := newServer(t)
	if id := at.initialize(t, "subjectless"); id != "" {
		t.Error("a session was opened")
	}
	if answer, _ := at.send(t, http.MethodPost, callBody, "subjectless", nil); answer.StatusCode != http.StatusNotFound || b.toolRuns.Load() != 0 {
		t.Errorf("status %d, %d tool runs, want 404 and none", answer.StatusCode, b.toolRuns.Load())
	}
	c, _ := at.connect(t, modern, "subjectless")
	if got := call(t, c); got != issuerA+"  read" {
		t.Errorf("without sessions the tool saw %q", got)
	}
}

func TestRequestsWithoutASession(t *testing.T) {
	_, at := newServer(t)
	for _, version := range []string{legacy, modern} {
		for _, id := range []string{"absent", ""} {
			header := map[string]string{mcp.HeaderProtocolVersion: version}
			if id != "absent" {
				header[server.HeaderKeySessionID] = id
			}
			answer, _ := at.send(t, http.MethodGet, "", "alice", header)
			if answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != http.MethodPost {
				t.Errorf("%s, id %q: status %d, Allow %q", version, id, answer.StatusCode, answer.Header.Get("Allow"))
			}
		}
	}
	if answer, _ := at.send(t, http.MethodPost, callBody, "alice", nil); answer.StatusCode != http.StatusNotFound {
		t.Errorf("POST: status %d, want 404", answer.StatusCode)
	}
}

func TestOnlyTheExactIdPasses(t *testing.T) {
	sessions := newSessions(t, mcpgo.SessionsConfig{})
	at := serve(t, sessions.Bind(newBackend(sessions, nil).transport))
	id := at.initialize(t, "alice")
	bad := map[string][]string{
		"twice":            {id, id},
		"with an empty":    {"", id},
		"joined":           {id + ", " + id},
		"shorter":          {id[:len(id)-1]},
		"longer":           {id + "A"},
		"padded":           {id + "=="},
		"folded":           {id[:32] + "\r\n" + id[34:]},
		"only line ends":   {strings.Repeat("\r\n", len(id)/2)}, // to base64, nothing
		"with a space":     {" " + id[:len(id)-1]},
		"huge":             {strings.Repeat(id, 1<<10)},
		"not base64":       {strings.Repeat("!", len(id))},
		"standard base64":  {strings.Repeat("+", len(id))},
		"one of mcp-go":    {"mcp-session-123e4567-e89b-12d3-a456-426614174000"},
		"NUL":              {strings.Repeat("\x00", len(id))},
		"only a space":     {" "},
		"upper case":       {strings.ToUpper(id)},
		"of no known user": {strings.Repeat("A", len(id))},
	}
	for i := range id {
		other := byte('A')
		if id[i] == other {
			other = 'B'
		}
		bad[fmt.Sprintf("character %d changed", i)] = []string{id[:i] + string(other) + id[i+1:]}
	}
	for name, values := range bad {
		if status, ran := bindOnly(sessions, values); status != http.StatusNotFound || ran {
			t.Errorf("%s: status %d, handler ran: %t", name, status, ran)
		}
	}
	if status, ran := bindOnly(sessions, []string{id}); status != http.StatusOK || !ran {
		t.Errorf("the id itself: status %d, handler ran: %t", status, ran)
	}
}

func TestIdsAreFreshAndTellNothing(t *testing.T) {
	_, at := newServer(t)
	seen := map[string]bool{}
	for _, credential := range []string{"alice", "alice", "bob", "", ""} {
		id := at.initialize(t, credential)
		if seen[id] || len(id) != 64 {
			t.Errorf("session id %q of %d characters, seen before: %t", id, len(id), seen[id])
		}
		if strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("%q has other characters than visible ASCII", id)
		}
		seen[id] = true
	}
}

func TestConfigs(t *testing.T) {
	secret := "a-key-of-31-bytes-0123456789012"
	for length, ok := range map[int]bool{0: false, 1: false, 31: false, 32: true, 100: true} {
		sessions, err := mcpgo.NewSessions(mcpgo.SessionsConfig{Key: make([]byte, length)})
		if (err == nil) != ok || (sessions != nil) != ok {
			t.Errorf("%d bytes: %v, %v", length, sessions, err)
		}
	}
	_, err := mcpgo.NewSessions(mcpgo.SessionsConfig{Key: []byte(secret)})
	if err == nil || err.Error() != "mcpgo: SessionsConfig.Key has 31 bytes, fewer than 32" {
		t.Errorf("the error is %v", err)
	}
}

func TestTheKeyIsNeverPrinted(t *testing.T) {
	config := mcpgo.SessionsConfig{Key: []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345")}
	sessions := newSessions(t, config)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for name, value := range map[string]any{"config": config, "*config": &config, "sessions": sessions, "*sessions": *sessions} {
			text := fmt.Sprintf(verb, value)
			for _, piece := range []string{"ABCD", "65 66 67", "0x41, 0x42", "41424344"} {
				if strings.Contains(text, piece) {
					t.Errorf("%s of %s prints %s", verb, name, text)
				}
			}
		}
	}
}

// mcp-go asks without a request when it sweeps and when it shuts down.
func TestWithoutARequestNothingIsAllowed(t *testing.T) {
	sessions := newSessions(t, mcpgo.SessionsConfig{})
	at := serve(t, sessions.Bind(newBackend(sessions, nil).transport))
	id := at.initialize(t, "alice")
	for name, resolver := range map[string]*mcpgo.Sessions{"sessions": sessions, "zero": {}, "nil": nil} {
		for kind, r := range map[string]*http.Request{"nil": nil, "unbound": httptest.NewRequest(http.MethodPost, resource, nil)} {
			manager := resolver.ResolveSessionIdManager(r)
			if got := manager.Generate(); got != "" {
				t.Errorf("%s, %s: an id", name, kind)
			}
			if _, err := manager.Validate(id); err == nil || strings.Contains(err.Error(), id) {
				t.Errorf("%s, %s: Validate says %v", name, kind, err)
			}
			if notAllowed, err := manager.Terminate(id); !notAllowed || err != nil {
				t.Errorf("%s, %s: Terminate says %t, %v", name, kind, notAllowed, err)
			}
		}
	}
}

// FuzzSessionID: whatever is presented, nobody gets in who was not given it.
func FuzzSessionID(f *testing.F) {
	sessions := newSessions(f, mcpgo.SessionsConfig{})
	for _, seed := range []string{"A", strings.Repeat("A", 64), strings.Repeat("A", 62) + "\r\n", "mcp-session-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		status, ran := bindOnly(sessions, []string{id})
		if ran != (id == "") || ran != (status == http.StatusOK) {
			t.Errorf("%q: status %d, handler ran: %t", id, status, ran)
		}
	})
}

// bindOnly lets alice present ids to a bound handler, without the transport in
// between, which would refuse some of them by itself.
func bindOnly(sessions *mcpgo.Sessions, ids []string) (status int, ran bool) {
	handler := sessions.Bind(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true }))
	r := httptest.NewRequest(http.MethodPost, resource, nil)
	r.Header[server.HeaderKeySessionID] = ids
	w := httptest.NewRecorder()
	alice := &verifier.Token{Issuer: issuerA, Subject: "u1"}
	handler.ServeHTTP(w, r.WithContext(verifier.NewContext(context.Background(), alice)))
	return w.Code, ran
}
