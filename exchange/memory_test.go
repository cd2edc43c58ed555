package exchange

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func TestAMillionUsersLeaveNoMoreThanTheLatest(t *testing.T) {
	m := newMemory(defaultCacheSize)
	now := time.Now()
	e := &entry{until: now.Add(time.Hour)}
	for n := range 1_000_000 {
		var k key
		binary.LittleEndian.PutUint64(k[:], uint64(n)*0x9e3779b97f4a7c15)
		m.put(k, e, now)
	}
	// Half as much again is room for shards that fill unevenly, and freelru rounds.
	if n := m.entries.Len(); n < defaultCacheSize || n > 2*defaultCacheSize {
		t.Errorf("%d entries for a size of %d", n, defaultCacheSize)
	}
}

func TestKeysAreUnambiguous(t *testing.T) {
	c := new(Client)
	w := &wanted{}
	subject := func(issuer, sub, client string) *verifier.Token {
		return &verifier.Token{Issuer: issuer, Subject: sub, ClientID: client}
	}
	actor := ActorToken("a", "b", time.Time{})
	seen := make(map[key]string)
	for name, k := range map[string]key{
		"nobody":               c.key(nil, w, nil),
		"nobody, an actor":     c.key(nil, w, actor),
		"nobody, another type": c.key(nil, w, ActorToken("b", "a", time.Time{})),
		"empty":                c.key(subject("", "", ""), w, nil),
		"ab c":                 c.key(subject("ab", "c", ""), w, nil),
		"a bc":                 c.key(subject("a", "bc", ""), w, nil),
		"a b c":                c.key(subject("a", "b", "c"), w, nil),
		"a b c, an actor":      c.key(subject("a", "b", "c"), w, actor),
		"another target":       c.key(subject("a", "b", "c"), &wanted{digest: [32]byte{1}}, nil),
		"another client":       (&Client{seed: [32]byte{1}}).key(subject("a", "b", "c"), w, nil),
	} {
		if other, taken := seen[k]; taken {
			t.Errorf("%s and %s share a key", name, other)
		}
		seen[k] = name
	}
}
