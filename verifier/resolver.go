package verifier

import (
	"context"
	"errors"
	"hash/maphash"
	"time"

	"github.com/elastic/go-freelru"
	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
)

const (
	maxResolved    = 1000            // issuers, and refusals, remembered
	maxResolving   = 16              // calls at a time about strangers, and as many about others
	maxIssuerBytes = 1 << 10         // a longer iss is nobody's
	resolvedFor    = 5 * time.Minute // an issuer is asked for again after
	refusedFor     = time.Minute
)

// resolver finds issuers that are known only at run time. What it remembers is
// bounded, because iss is unverified; so are its calls.
type resolver struct {
	resolve func(context.Context, string) (*Issuer, error)
	compile func(Issuer) (*trusted, error)
	known   *freelru.SyncedLRU[string, *trusted] // not sharded: those that fill first would drop tenants early
	refused *freelru.ShardedLRU[string, struct{}]
	flights singleflight.Group

	strangers, renewals *slots
}

func newResolver(resolve func(context.Context, string) (*Issuer, error), compile func(Issuer) (*trusted, error)) *resolver {
	seed := maphash.MakeSeed()
	hash := func(iss string) uint32 { return uint32(maphash.String(seed, iss)) }
	// The only error is a capacity of zero.
	known, _ := freelru.NewSynced[string, *trusted](maxResolved, hash)
	refused, _ := freelru.NewSharded[string, struct{}](maxResolved, hash)
	refused.SetLifetime(refusedFor)
	return &resolver{resolve: resolve, compile: compile, known: known, refused: refused, strangers: newSlots(maxResolving), renewals: newSlots(maxResolving)}
}

// cached returns the issuer if it was resolved and is still current.
func (r *resolver) cached(iss string) *trusted {
	if issuer, ok := r.known.Get(iss); ok && time.Now().Before(issuer.until) {
		return issuer
	}
	return nil
}

// judged returns the issuer of a token that find was asked about a moment ago: a
// verification may take longer than was left of its time.
func (r *resolver) judged(iss string) *trusted {
	if issuer, ok := r.known.Get(iss); ok && time.Now().Before(issuer.until.Add(fetch.Timeout)) {
		return issuer
	}
	return nil
}

// find returns the issuer for iss, nil if it is nobody's. One call serves all who
// ask for the same, and outlives any one of them.
func (r *resolver) find(ctx context.Context, iss string) (*trusted, error) {
	if iss == "" || len(iss) > maxIssuerBytes {
		return nil, nil
	}
	if issuer := r.cached(iss); issuer != nil {
		return issuer, nil
	}
	if _, refused := r.refused.Get(iss); refused {
		return nil, nil
	}
	answer := r.flights.DoChan(iss, func() (_ any, err error) {
		defer contain(&err, "")
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetch.Timeout)
		defer cancel()
		return r.ask(ctx, iss)
	})
	select {
	case result := <-answer:
		issuer, _ := result.Val.(*trusted)
		return issuer, result.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *resolver) ask(ctx context.Context, iss string) (*trusted, error) {
	old, renewal := r.known.Get(iss)
	slots := r.strangers
	if renewal { // strangers, of whom anybody can invent many, must not delay it
		slots = r.renewals
	}
	if !slots.enter(ctx) {
		return nil, &UnavailableError{Err: errors.New("too many issuers are being resolved")}
	}
	defer slots.leave()
	found, err := r.resolve(ctx, iss)
	if err != nil {
		return nil, &UnavailableError{Err: errors.New("looking the issuer up failed")}
	}
	if found == nil {
		r.refused.Add(iss, struct{}{})
		return nil, nil
	}
	if found.URL != iss || found.template() {
		return nil, &UnavailableError{Err: errors.New("the issuer that Resolve returned is another one than it was asked for")}
	}
	issuer, err := r.compile(*found)
	if err != nil {
		return nil, &UnavailableError{Err: err}
	}
	if renewal && old.JWKSURI == issuer.JWKSURI && old.MetadataURL == issuer.MetadataURL {
		issuer.keys = old.keys // what was fetched stays good
	}
	issuer.until = time.Now().Add(resolvedFor)
	r.known.Add(iss, issuer)
	return issuer, nil
}
