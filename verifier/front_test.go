package verifier

import (
	"testing"
	"time"
)

func TestFrontHasTheLatest(t *testing.T) {
	var f front
	one, newer, neighbour := &remembered{place: 1}, &remembered{place: 1}, &remembered{place: 1 + uint64(len(f))}
	if f.get(1) != nil {
		t.Error("the zero value is not empty")
	}
	f.put(one)
	if f.get(1) != one || f.get(neighbour.place) != nil {
		t.Error("what is there is not found by its own place alone")
	}
	f.put(newer)
	f.drop(1, one)
	if f.get(1) != newer {
		t.Error("what replaced another went with it")
	}
	f.put(neighbour)
	f.drop(1, newer)
	if f.get(1) != nil || f.get(neighbour.place) != neighbour {
		t.Error("two entries of one slot are mixed up")
	}
	f.drop(neighbour.place, neighbour)
	if f.get(neighbour.place) != nil {
		t.Error("what the cache dropped is still here")
	}
}

func TestFrontGetsWhatTheCacheFoundOnceInAWhile(t *testing.T) {
	c, entry := newTokenCache(16, 0), &remembered{place: 7}
	c.entries.Add(entry.place, entry)
	if c.find(7, time.Unix(0, 1)) != entry || c.front.get(7) != nil {
		t.Error("the front is written to each time")
	}
	if c.find(7, time.Unix(0, 64)) != entry || c.front.get(7) != entry {
		t.Error("the front does not get what the cache found")
	}
	hits := c.entries.Metrics().Hits
	if c.find(7, time.Unix(0, 1)) != entry || c.entries.Metrics().Hits != hits {
		t.Error("the cache was asked for what is in front")
	}
}

// A token that the cache dropped is gone, also where it was used last.
func TestTheCacheTakesFromTheFrontWhatItDrops(t *testing.T) {
	c := newTokenCache(16, 0)
	entries := make([]*remembered, 1000)
	for i := range entries {
		entries[i] = &remembered{place: uint64(i) * 0x9e3779b97f4a7c15}
		c.entries.Add(entries[i].place, entries[i])
		c.front.put(entries[i])
	}
	found := 0
	for _, entry := range entries {
		if c.front.get(entry.place) != nil {
			if _, ok := c.entries.Peek(entry.place); !ok {
				t.Fatal("the front has what the cache dropped")
			}
			found++
		}
	}
	if found == 0 {
		t.Error("the front is empty: this test shows nothing")
	}
}
