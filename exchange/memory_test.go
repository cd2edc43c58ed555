package exchange

import (
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func TestAMillionUsersLeaveNoMoreThanTheLatest(t *testing.T) {
	m := newMemory(defaultCacheSize)
	now := time.Now()
	e := &entry{until: now.Add(time.Hour)}
	for n := range 1_000_000 {
		var k key
		binary.LittleEndian.PutUint64(k[:], uint64(n)*0x9e3779b97f4a7c15)
		m.put(&question{key: k}, e, now)
	}
	// Half as much again is room for shards that fill unevenly, and freelru rounds.
	if n := m.entries.Len(); n < defaultCacheSize || n > 2*defaultCacheSize {
		t.Errorf("%d entries for a size of %d", n, defaultCacheSize)
	}
}

func TestKeysAreUnambiguous(t *testing.T) {
	w := &wanted{}
	subject := func(issuer, sub, client string) *verifier.Token {
		return &verifier.Token{Issuer: issuer, Subject: sub, ClientID: client}
	}
	actor := ActorToken("a", "b", time.Time{})
	seen := make(map[key]string)
	for name, q := range map[string]*question{
		"nobody":               {wanted: w},
		"nobody, an actor":     {wanted: w, actor: actor},
		"nobody, another type": {wanted: w, actor: ActorToken("b", "a", time.Time{})},
		"empty":                {wanted: w, subject: subject("", "", "")},
		"ab c":                 {wanted: w, subject: subject("ab", "c", "")},
		"a bc":                 {wanted: w, subject: subject("a", "bc", "")},
		"a b c":                {wanted: w, subject: subject("a", "b", "c")},
		"a b c, an actor":      {wanted: w, subject: subject("a", "b", "c"), actor: actor},
		"another target":       {wanted: &wanted{digest: [32]byte{1}}, subject: subject("a", "b", "c")},
	} {
		new(Client).identify(q)
		if other, taken := seen[q.key]; taken {
			t.Errorf("%s and %s share a key", name, other)
		}
		seen[q.key] = name
		(&Client{seed: [32]byte{1}}).identify(q)
		if _, taken := seen[q.key]; taken {
			t.Errorf("%s: the key of another client", name)
		}
	}
}

// The key has only the signature of a JWT, so the rest has to be the same.
func TestWhatWasSignedIsCompared(t *testing.T) {
	m := newMemory(10)
	now := time.Now()
	alice := &question{wanted: &wanted{}, signed: "header.alice"}
	e := newEntry(&Token{Expiry: now.Add(time.Hour), held: hold("for alice")}, alice, now)
	m.put(alice, e, now)
	bob := &question{wanted: alice.wanted, key: alice.key, signed: "header.bob"}
	if m.get(bob, now) != nil || m.get(alice, now) != e {
		t.Error("a token is remembered for another's")
	}
}

func TestWhatWasSignedKeepsRequestsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Config{
			Issuer: "https://as.example", TokenEndpoint: "https://as.example/token", Auth: clientauth.None(""),
			Transport: slowly(func(r *http.Request) string { return r.PostFormValue("audience") }),
		})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for _, name := range []string{"alice", "bob"} {
			w, err := c.compile(Target{Audience: []string{name}}, grantClient)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { // both have the same key
				e, err := c.fetch(t.Context(), &question{wanted: w, signed: name}, nil)
				if err != nil || e.token.AccessToken() != "for-"+name {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		wg.Wait()
	})
}

// slowly answers each request after a second, with a token that it names.
type slowly func(*http.Request) string

func (s slowly) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(time.Second) // virtual
	body := `{"access_token":"for-` + s(r) + `","token_type":"Bearer","expires_in":300}`
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
}
