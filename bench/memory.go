package main

import (
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
)

// A memory is what stays on the heap after many distinct valid tokens.
type memory struct {
	tokens      int
	half, whole float64 // MiB after half of the tokens, and after all
}

// remembered sends n distinct valid tokens through one Guard and measures the
// heap twice: whatever is bounded is full at half time and grows no more.
func remembered(n int) (memory, error) {
	i, err := newIssuer()
	if err != nil {
		return memory{}, err
	}
	defer i.Close()
	h, err := gatehouse().protect(i, "EdDSA", bareHandler())
	if err != nil {
		return memory{}, err
	}
	first, err := i.mint("EdDSA", spec{})
	if err != nil {
		return memory{}, err
	}
	if err := prime(h, "Gatehouse", newRequest(first.text)); err != nil {
		return memory{}, err
	}
	m := memory{tokens: n}
	before := heap()
	if err := feed(i, h, 0, n/2); err != nil {
		return memory{}, err
	}
	m.half = heap() - before
	if err := feed(i, h, n/2, n); err != nil {
		return memory{}, err
	}
	m.whole = heap() - before
	runtime.KeepAlive(h)
	return m, nil
}

// feed signs each token just before it is used, so that only the Guard could
// keep it.
func feed(i *issuer, h http.Handler, from, to int) error {
	var wait sync.WaitGroup
	var next atomic.Int64
	next.Store(int64(from))
	errs := make([]error, 2)
	for worker := range errs {
		wait.Go(func() {
			for {
				n := next.Add(1) - 1
				if n >= int64(to) || errs[worker] != nil {
					return
				}
				token, err := i.mint("EdDSA", spec{id: strconv.FormatInt(n, 10)})
				if err == nil {
					err = prime(h, "Gatehouse", newRequest(token.text))
				}
				errs[worker] = err
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("memory: %w", err)
		}
	}
	return nil
}

// heap returns the live heap in MiB.
func heap() float64 {
	runtime.GC()
	runtime.GC() // what a finalizer or a pool held back
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc) / (1 << 20)
}
