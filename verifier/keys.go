package verifier

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/discovery"
	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

const (
	// refreshAge is the age at which keys are refreshed, ahead of need and with
	// up to a fifth of jitter so that replicas spread out.
	refreshAge = 15 * time.Minute
	// idleAge is the age from which a request waits for a refresh: a server that
	// was idle must not honour a key that was withdrawn meanwhile.
	idleAge = 2 * refreshAge
	// coldRetry is the pause between attempts while there are no keys at all.
	coldRetry = time.Second
	// maxPause is as long as a provider's Retry-After is believed.
	maxPause = time.Minute
)

// snapshot is a key set as it was fetched. It is immutable.
type snapshot struct {
	set        *jose.KeySet
	fetched    time.Time
	refresh    time.Time
	generation uint64
	address    string // where it is from; etag is the entity tag there
	etag       string
}

// keySource keeps the keys of one issuer. Readers take a snapshot and never wait
// while there are good keys; one refresh at a time serves everybody, detached
// from any one caller. It has no goroutine of its own: requests drive it.
type keySource struct {
	locate   *discovery.Locator
	client   *fetch.Client
	maxStale time.Duration
	cooldown time.Duration

	current atomic.Pointer[snapshot]
	stale   atomic.Uint64 // KeyCounts.StaleServed

	mu       sync.Mutex
	inflight *refresh
	next     time.Time // no attempt before
	failures int
	failed   time.Time // the last time
	lastErr  error
	counts   KeyCounts
}

// refresh is one shared attempt; err is set before done is closed.
type refresh struct {
	done chan struct{}
	err  error
}

// good returns the snapshot if it may still be trusted at now.
func (k *keySource) good(now time.Time) *snapshot {
	if s := k.current.Load(); s != nil && now.Sub(s.fetched) < k.maxStale {
		return s
	}
	return nil
}

// find returns the key for the token and the snapshot it is from. It fails with
// errUnknownKey, with ctx's error, or with an *UnavailableError's cause.
func (k *keySource) find(ctx context.Context, token *jose.JWS) (*snapshot, *jose.Key, error) {
	s, err := k.snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	if key := s.set.Find(token); key != nil {
		return s, key, nil
	}
	if s, err = k.rotated(ctx); err != nil {
		return nil, nil, err
	}
	if key := s.set.Find(token); key != nil {
		return s, key, nil
	}
	return nil, nil, errUnknownKey
}

var errUnknownKey = errors.New("no key fits kid and alg")

// serving returns good keys without waiting, and has them refreshed when that is
// due. It returns none where there are none, or after a long idle time; attempt
// is then what to wait for, nil while it is too early for one.
func (k *keySource) serving(now time.Time) (s *snapshot, attempt *refresh) {
	s = k.good(now)
	if s != nil && now.Before(s.refresh) {
		return s, nil
	}
	attempt, failing := k.start(now)
	if s == nil && attempt == nil {
		return k.good(now), nil // an attempt may have succeeded meanwhile
	}
	if s != nil && (attempt == nil || failing || now.Sub(s.fetched) < idleAge) {
		if failing {
			k.stale.Add(1)
		}
		return s, nil
	}
	return nil, attempt
}

// snapshot returns good keys, waiting for them where it must.
func (k *keySource) snapshot(ctx context.Context) (*snapshot, error) {
	s, attempt := k.serving(time.Now())
	if s != nil {
		return s, nil
	}
	if attempt != nil {
		if err := wait(ctx, attempt); err != nil {
			return nil, err
		}
		if s = k.good(time.Now()); s != nil {
			return s, nil
		}
	}
	return nil, k.unavailable(time.Now())
}

// rotated waits for the one refresh that an unknown kid may cause per cool-down,
// and returns what is current then. In between it answers from the set at once,
// and a flood cannot push the next refresh away: the pause counts from the
// attempt, not from the last asker. While refreshes fail, nobody can say that the
// kid is wrong.
func (k *keySource) rotated(ctx context.Context) (*snapshot, error) {
	attempt, failing := k.start(time.Now())
	if attempt == nil {
		k.count(func(c *KeyCounts) { c.Suppressed++ })
	} else if err := wait(ctx, attempt); err != nil {
		return nil, err
	} else {
		failing = attempt.err != nil
	}
	if failing {
		return nil, k.unavailable(time.Now())
	}
	return k.current.Load(), nil
}

func wait(ctx context.Context, attempt *refresh) error {
	select {
	case <-attempt.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start joins the attempt under way or begins one, unless it is too early: then
// attempt is nil. failing reports that the last attempt failed, not long ago.
func (k *keySource) start(now time.Time) (attempt *refresh, failing bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	failing = k.failures > 0 && now.Sub(k.failed) < idleAge
	if k.inflight != nil {
		return k.inflight, failing
	}
	if now.Before(k.next) {
		return nil, failing
	}
	k.inflight = &refresh{done: make(chan struct{})}
	k.next = now.Add(k.cooldown)
	go k.run(k.inflight)
	return k.inflight, failing
}

// run makes one attempt. It owns its time: a caller that goes away takes nothing
// from the others.
func (k *keySource) run(attempt *refresh) {
	ctx, cancel := context.WithTimeout(context.Background(), fetch.Timeout)
	defer cancel()
	fresh, err := k.fetch(ctx, k.current.Load())
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if err == nil {
		k.current.Store(fresh)
		k.failures, k.lastErr = 0, nil
		k.counts.Succeeded++
	} else {
		k.failures++
		k.failed, k.lastErr = now, err
		k.counts.Failed++
		k.next = now.Add(k.pause(now, err))
	}
	attempt.err = err
	k.inflight = nil
	close(attempt.done)
}

// pause returns the time to wait after a failure. Without keys it stays short, so
// that recovery is seen within a second; with keys it doubles up to the cool-down.
// A provider that asks for more gets it, within reason.
func (k *keySource) pause(now time.Time, err error) time.Duration {
	pause := coldRetry
	if k.good(now) != nil {
		pause = min(coldRetry<<min(k.failures-1, 10), k.cooldown)
	}
	if status, ok := errors.AsType[*fetch.StatusError](err); ok {
		pause = max(pause, min(status.RetryAfter, maxPause))
	}
	return pause
}

// fetch returns the next snapshot. Whatever is not a set with usable keys is an
// error, so that it cannot replace one.
func (k *keySource) fetch(ctx context.Context, old *snapshot) (_ *snapshot, err error) {
	defer contain(&err, k.locate.Issuer)
	address, err := k.locate.Address(ctx, k.client)
	if err != nil {
		return nil, err
	}
	etag := ""
	if old != nil && old.address == address {
		etag = old.etag
	}
	fresh, err := k.load(ctx, address, etag, old)
	if err != nil {
		k.locate.Forget()
	}
	return fresh, err
}

// load reads the set at address. A set that holds what the old one held is of the
// same generation.
func (k *keySource) load(ctx context.Context, address, etag string, old *snapshot) (*snapshot, error) {
	document, err := k.client.Get(ctx, address, etag)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	fresh := &snapshot{fetched: now, address: address, etag: document.ETag}
	fresh.refresh = now.Add(refreshAge - rand.N(refreshAge/5))
	if document.NotModified {
		fresh.set, fresh.generation = old.set, old.generation
		return fresh, nil
	}
	if fresh.set, err = jose.ParseKeySet(document.Body); err != nil {
		return nil, err
	}
	switch {
	case old == nil:
		fresh.generation = 1
	case fresh.set.Equal(old.set):
		fresh.generation = old.generation
	default:
		fresh.generation = old.generation + 1
	}
	return fresh, nil
}

// unavailable describes the lack of keys.
func (k *keySource) unavailable(now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return &UnavailableError{Issuer: k.locate.Issuer, RetryAfter: max(k.next.Sub(now), 0), Err: k.lastErr}
}

func (k *keySource) count(update func(*KeyCounts)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	update(&k.counts)
}

// ready waits for good keys.
func (k *keySource) ready(ctx context.Context) error {
	_, err := k.snapshot(ctx)
	return err
}
