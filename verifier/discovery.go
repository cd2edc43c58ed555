package verifier

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// locator finds the key set of one issuer, or its introspection endpoint. Only
// the refresh under way uses it, so it needs no lock.
type locator struct {
	issuer   string
	member   string // of the metadata; empty: jwks_uri
	fixed    string // configured address
	found    string // discovered address
	document string // where it was discovered, or is by configuration
	pinned   bool   // document is by configuration, and nowhere else
}

// address returns where the key set or the endpoint is.
func (l *locator) address(ctx context.Context, client *fetch.Client) (string, error) {
	if l.fixed != "" {
		return l.fixed, nil
	}
	if l.found != "" {
		return l.found, nil
	}
	addresses, err := l.addresses()
	if err != nil {
		return "", err
	}
	var failures []error
	for _, address := range addresses {
		uri, err := l.discover(ctx, client, address)
		if err == nil {
			l.found, l.document = uri, address
			return uri, nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", address, err))
		// Only an answer says that the document is elsewhere; an outage would be
		// the same at the next address.
		if _, answered := errors.AsType[*fetch.StatusError](err); !answered && !errors.Is(err, errDocument) {
			break
		}
	}
	return "", fmt.Errorf("discovery failed: %w", errors.Join(failures...))
}

// addresses lists where to look, the likeliest first.
func (l *locator) addresses() ([]string, error) {
	if l.pinned {
		return []string{l.document}, nil
	}
	all, err := metadataURLs(l.issuer)
	if err == nil && l.document != "" {
		all = append([]string{l.document}, slices.DeleteFunc(all, func(a string) bool { return a == l.document })...)
	}
	return all, err
}

// forget makes the next attempt discover again: the keys may have moved.
func (l *locator) forget() { l.found = "" }

// introspectionEndpoint is a member of the metadata (RFC 8414 §2).
const introspectionEndpoint = "introspection_endpoint"

var errDocument = errors.New("not the issuer's metadata")

func (l *locator) discover(ctx context.Context, client *fetch.Client, address string) (string, error) {
	document, err := client.Get(ctx, address, "")
	if err != nil {
		return "", err
	}
	var metadata struct {
		Issuer        string `json:"issuer"`
		JWKSURI       string `json:"jwks_uri"`
		Introspection string `json:"introspection_endpoint"`
	}
	if strictjson.Object(document.Body, &metadata) != nil {
		return "", fmt.Errorf("%w: not a JSON object", errDocument)
	}
	// RFC 8414 §3.3: identical, or an attacker's document could name the keys.
	if metadata.Issuer != l.issuer {
		return "", fmt.Errorf("%w: its issuer is not %q", errDocument, l.issuer)
	}
	member, found := "jwks_uri", metadata.JWKSURI
	if l.member == introspectionEndpoint {
		member, found = l.member, metadata.Introspection
	}
	if err := fetch.CheckURL(found); err != nil {
		return "", fmt.Errorf("%w: %s: %w", errDocument, member, err)
	}
	// http is for an issuer on loopback; a remote one must not send us there.
	if strings.HasPrefix(l.issuer, "https:") && !strings.HasPrefix(found, "https:") {
		return "", fmt.Errorf("%w: %s is not https", errDocument, member)
	}
	return found, nil
}

// metadataURLs lists where an issuer's metadata may be: OpenID Connect Discovery
// §4 (append), RFC 8414 §3.1 (insert), and RFC 8414's name appended, which some
// providers serve. Most serve the first.
func metadataURLs(issuer string) ([]string, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, errors.New("issuer is not a URL")
	}
	const (
		oidc  = "/.well-known/openid-configuration"
		oauth = "/.well-known/oauth-authorization-server"
	)
	base := strings.TrimSuffix(issuer, "/")
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	origin := strings.TrimSuffix(base, path)
	addresses := []string{base + oidc, origin + oauth + path}
	if path != "" {
		addresses = append(addresses, base+oauth)
	}
	return addresses, nil
}
