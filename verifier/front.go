package verifier

import "sync/atomic"

// A front has what is used most, and is read without a lock: where many requests carry
// one token, processors would wait for each other. The zero value is empty. It is safe
// for concurrent use.
type front [64]struct {
	place atomic.Uint64 // of entry, as a rule: whoever looks for another is spared a look at it
	entry atomic.Pointer[remembered]
}

// get returns nil for what is not here.
func (f *front) get(place uint64) *remembered {
	slot := &f[place%uint64(len(f))]
	if slot.place.Load() != place {
		return nil
	}
	if entry := slot.entry.Load(); entry != nil && entry.place == place {
		return entry
	}
	return nil
}

func (f *front) put(entry *remembered) {
	slot := &f[entry.place%uint64(len(f))]
	slot.entry.Store(entry)
	slot.place.Store(entry.place)
}

// drop removes what the cache drops.
func (f *front) drop(_ uint64, entry *remembered) {
	f[entry.place%uint64(len(f))].entry.CompareAndSwap(entry, nil)
}
