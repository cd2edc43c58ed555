package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// endpoint finds the token endpoint, one search at a time.
type endpoint struct {
	issuer string
	fixed  string
	known  atomic.Pointer[string]
	lock   chan struct{} // a mutex could not be waited for with a deadline
}

func newEndpoint(issuer, fixed string) *endpoint {
	return &endpoint{issuer: issuer, fixed: fixed, lock: make(chan struct{}, 1)}
}

func (e *endpoint) find(ctx context.Context, client *fetch.Client) (string, error) {
	if e.fixed != "" {
		return e.fixed, nil
	}
	if known := e.known.Load(); known != nil {
		return *known, nil
	}
	select {
	case e.lock <- struct{}{}:
		defer func() { <-e.lock }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if known := e.known.Load(); known != nil {
		return *known, nil
	}
	found, err := e.search(ctx, client)
	if err == nil {
		e.known.Store(&found)
	}
	return found, err
}

// learn makes the next request search again where err says that the endpoint is
// not there any more.
func (e *endpoint) learn(err error) {
	status, answered := errors.AsType[*fetch.StatusError](err)
	if !answered || status.Status == http.StatusNotFound || status.Status == http.StatusMethodNotAllowed || status.Status == http.StatusGone {
		e.known.Store(nil)
	}
}

var errMetadata = errors.New("not the issuer's metadata")

func (e *endpoint) search(ctx context.Context, client *fetch.Client) (string, error) {
	addresses, err := metadataURLs(e.issuer)
	if err != nil {
		return "", err
	}
	var failures []error
	for _, address := range addresses {
		found, err := e.read(ctx, client, address)
		if err == nil {
			return found, nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", address, err))
		// Only an answer says that the document is elsewhere.
		if _, answered := errors.AsType[*fetch.StatusError](err); !answered && !errors.Is(err, errMetadata) {
			break
		}
	}
	return "", fmt.Errorf("discovery failed: %w", errors.Join(failures...))
}

func (e *endpoint) read(ctx context.Context, client *fetch.Client, address string) (string, error) {
	document, err := client.Get(ctx, address, "")
	if err != nil {
		return "", err
	}
	var metadata struct {
		Issuer   string `json:"issuer"`
		Endpoint string `json:"token_endpoint"`
	}
	if strictjson.Object(document.Body, &metadata) != nil {
		return "", fmt.Errorf("%w: not a JSON object", errMetadata)
	}
	// RFC 8414 §3.3: identical, or an attacker's document could collect our tokens.
	if metadata.Issuer != e.issuer {
		return "", fmt.Errorf("%w: its issuer is not %q", errMetadata, e.issuer)
	}
	if err := fetch.CheckURL(metadata.Endpoint); err != nil {
		return "", fmt.Errorf("%w: token_endpoint: %w", errMetadata, err)
	}
	// http is for an issuer on loopback; a remote one must not send us there.
	if strings.HasPrefix(e.issuer, "https:") && !strings.HasPrefix(metadata.Endpoint, "https:") {
		return "", fmt.Errorf("%w: token_endpoint is not https", errMetadata)
	}
	return metadata.Endpoint, nil
}

// metadataURLs lists where the metadata may be (OpenID Connect Discovery 1.0 §4,
// RFC 8414 §3.1), the likeliest first.
func metadataURLs(issuer string) ([]string, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, errors.New("the issuer is not a URL")
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	origin := u.Scheme + "://" + u.Host
	return []string{
		origin + path + "/.well-known/openid-configuration",
		origin + "/.well-known/oauth-authorization-server" + path,
	}, nil
}
