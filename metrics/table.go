package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
)

// maxKeys bounds a table. Keys come from configuration; the bound is for
// whoever builds Guards without end, such as one per tenant.
const maxKeys = 256

// A table is a map that is read without a lock and copied when it grows, which
// it does a few times in the life of a process. The zero value is empty.
type table[K comparable, V any] struct {
	growing sync.Mutex
	entries atomic.Pointer[map[K]V]
}

func (t *table[K, V]) get(key K) (V, bool) {
	entries := t.entries.Load()
	if entries == nil {
		var zero V
		return zero, false
	}
	value, ok := (*entries)[key]
	return value, ok
}

// add returns the value of key, made now where it is missing. A full table
// answers with the value of overflow.
func (t *table[K, V]) add(key, overflow K, create func(K) V) V {
	t.growing.Lock()
	defer t.growing.Unlock()
	if value, ok := t.get(key); ok {
		return value
	}
	next := map[K]V{}
	if entries := t.entries.Load(); entries != nil {
		next = maps.Clone(*entries)
	}
	if len(next) >= maxKeys {
		key = overflow
		if value, ok := next[key]; ok {
			return value
		}
	}
	value := create(key)
	next[key] = value
	t.entries.Store(&next)
	return value
}
