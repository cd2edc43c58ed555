package verifier

import (
	"context"
	"sync/atomic"
)

// waitersPerSlot bounds the questions that wait for a free slot.
const waitersPerSlot = 4

// slots bounds how many questions are under way, and how many wait for that.
type slots struct {
	taken   chan struct{}
	waiting atomic.Int32
}

func newSlots(size int) *slots { return &slots{taken: make(chan struct{}, size)} }

// enter takes a slot. It reports false where too many wait already, or ctx ends.
func (s *slots) enter(ctx context.Context) bool {
	select {
	case s.taken <- struct{}{}:
		return true
	default:
	}
	defer s.waiting.Add(-1)
	if int(s.waiting.Add(1)) > waitersPerSlot*cap(s.taken) {
		return false
	}
	select {
	case s.taken <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// leave frees a slot.
func (s *slots) leave() { <-s.taken }
