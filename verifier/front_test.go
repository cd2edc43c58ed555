package verifier

import (
	"sync"
	"testing"
	"time"
)

func TestFrontHasTheLatest(t *testing.T) {
	var f front
	now := time.Now()
	one, newer, neighbour := &remembered{place: 1}, &remembered{place: 1}, &remembered{place: 1 + uint64(len(f.slots))}
	if f.get(1, now) != nil || f.counted() != 0 {
		t.Error("the zero value is not empty")
	}
	f.put(one)
	if f.get(1, now) != one || f.get(neighbour.place, now) != nil || f.counted() != 1 {
		t.Errorf("what is there is not found by its own place alone; %d hits", f.counted())
	}
	f.put(newer)
	f.drop(1, one)
	if f.get(1, now) != newer {
		t.Error("what replaced another went with it")
	}
	f.put(neighbour)
	f.drop(1, newer)
	if f.get(1, now) != nil || f.get(neighbour.place, now) != neighbour {
		t.Error("two entries of one slot are mixed up")
	}
	f.drop(neighbour.place, neighbour)
	if f.get(neighbour.place, now) != nil {
		t.Error("what the cache dropped is still here")
	}
}

func TestFrontLosesNoCount(t *testing.T) {
	var f front
	f.put(&remembered{place: 7})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for n := range 1000 {
				f.get(7, time.Unix(0, int64(n)))
			}
		})
	}
	group.Wait()
	if n := f.counted(); n != 8000 {
		t.Errorf("%d hits of 8000", n)
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
	now, found := time.Unix(0, 1), 0
	for _, entry := range entries {
		if c.front.get(entry.place, now) != nil {
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
