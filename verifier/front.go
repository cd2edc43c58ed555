package verifier

import (
	"sync/atomic"
	"time"
)

// A front has what was used last, and is read without a lock: where many requests carry
// one token, processors would wait for each other. The zero value is empty. It is safe
// for concurrent use.
type front struct {
	slots [64]atomic.Pointer[remembered]
	hits  [16]struct {
		atomic.Uint64
		_ [56]byte // so that processors count in memory of their own, as a rule
	}
}

// get returns nil for what is not here, and counts what is.
func (f *front) get(place uint64, now time.Time) *remembered {
	entry := f.slots[place%uint64(len(f.slots))].Load()
	if entry == nil || entry.place != place {
		return nil
	}
	f.hits[now.Nanosecond()%len(f.hits)].Add(1)
	return entry
}

func (f *front) put(entry *remembered) {
	f.slots[entry.place%uint64(len(f.slots))].Store(entry)
}

// drop removes what the cache drops.
func (f *front) drop(_ uint64, entry *remembered) {
	f.slots[entry.place%uint64(len(f.slots))].CompareAndSwap(entry, nil)
}

// counted returns the number of hits.
func (f *front) counted() (n uint64) {
	for i := range f.hits {
		n += f.hits[i].Load()
	}
	return n
}
