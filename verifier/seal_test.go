package verifier

import (
	"strings"
	"sync"
	"testing"
)

func TestSealMatchesItsTextAlone(t *testing.T) {
	s := newSealer()
	for _, text := range []string{"", "x", strings.Repeat("ab.", 300), strings.Repeat("z", maxCachedToken)} {
		sealed := s.seal(text)
		if !s.match(&sealed, strings.Clone(text)) {
			t.Errorf("%d octets do not match their seal", len(text))
		}
		others := []string{text + "x", "x" + text, strings.ToUpper(text) + ".", text + "\x00"}
		for i := range text { // every octet counts
			others = append(others, text[:i]+string(text[i]^1)+text[i+1:], text[:i])
		}
		for _, other := range others {
			if len(other) <= maxCachedToken && s.match(&sealed, other) {
				t.Fatalf("another text matches the seal of %d octets", len(text))
			}
		}
		for i := range sealed {
			forged := sealed
			forged[i] ^= 1
			if s.match(&forged, text) {
				t.Errorf("a changed seal matches")
			}
		}
		if again := s.seal(text); again == sealed {
			t.Error("two seals are alike: the nonce is not new")
		}
		if newSealer().match(&sealed, text) {
			t.Error("the seal is worth something in another process")
		}
	}
}

// What is sealed is a credential.
func TestSealerForgetsTheText(t *testing.T) {
	var seen []*scratch
	s := newSealer()
	open := s.space.New
	s.space.New = func() any { seen = append(seen, open().(*scratch)); return seen[len(seen)-1] }
	sealed := s.seal(strings.Repeat("secret", 100))
	s.match(&sealed, strings.Repeat("secret", 100))
	s.match(&sealed, "secret")
	if len(seen) == 0 {
		t.Fatal("this test sees nothing")
	}
	for _, scratch := range seen {
		if scratch.text != [maxCachedToken]byte{} {
			t.Error("text is left behind")
		}
	}
}

func TestSealerAllocatesNothingToMatch(t *testing.T) {
	s, text := newSealer(), strings.Repeat("x", 900)
	sealed := s.seal(text)
	if n := testing.AllocsPerRun(100, func() { s.match(&sealed, text) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSealerInManyGoroutines(t *testing.T) {
	s := newSealer()
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			text := strings.Repeat(string(rune('a'+n)), 100+n)
			for range 200 {
				if sealed := s.seal(text); !s.match(&sealed, text) || s.match(&sealed, text[1:]) {
					t.Error("goroutines mix up their texts")
				}
			}
		})
	}
	group.Wait()
	if n := s.matched(); n != 8*200 {
		t.Errorf("%d matches counted, of 1600", n)
	}
}
