// Package discovery finds the endpoints of an authorization server in its metadata
// (RFC 8414, OpenID Connect Discovery 1.0), which is believed only about the very
// issuer that it was asked of.
package discovery

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

// Members of the metadata (RFC 8414 §2, RFC 7662).
const (
	KeySet        = "jwks_uri"
	Introspection = "introspection_endpoint"
	Token         = "token_endpoint"
)

// A Locator finds one address of one issuer. It is for one goroutine at a time; an
// Endpoint is for many.
type Locator struct {
	// Issuer is the issuer identifier.
	Issuer string
	// Member is which address is sought.
	Member string
	// Fixed is the address, where it is known by configuration.
	Fixed string
	// Document is where the metadata is, and nowhere else. Empty: where the RFCs
	// say.
	Document string

	address string // the last one found
	last    string // document in which it was
}

// Address returns the address. ctx must carry a deadline.
func (l *Locator) Address(ctx context.Context, client *fetch.Client) (string, error) {
	if l.Fixed != "" {
		return l.Fixed, nil
	}
	if l.address != "" {
		return l.address, nil
	}
	documents, err := l.documents()
	if err != nil {
		return "", err
	}
	var failures []error
	for _, document := range documents {
		found, err := l.read(ctx, client, document)
		if err == nil {
			l.address, l.last = found, document
			return found, nil
		}
		failures = append(failures, fmt.Errorf("%s: %w", document, err))
		// Only an answer says that the document is elsewhere; an outage would be
		// the same at the next address.
		if _, answered := errors.AsType[*fetch.StatusError](err); !answered && !errors.Is(err, errDocument) {
			break
		}
	}
	return "", fmt.Errorf("discovery failed: %w", errors.Join(failures...))
}

// Forget makes the next Address search again: what was found may have moved.
func (l *Locator) Forget() { l.address = "" }

// documents lists where to look, the likeliest first.
func (l *Locator) documents() ([]string, error) {
	if l.Document != "" {
		return []string{l.Document}, nil
	}
	all, err := documentsOf(l.Issuer)
	if err == nil && l.last != "" {
		all = append([]string{l.last}, slices.DeleteFunc(all, func(a string) bool { return a == l.last })...)
	}
	return all, err
}

var errDocument = errors.New("not the issuer's metadata")

func (l *Locator) read(ctx context.Context, client *fetch.Client, address string) (string, error) {
	document, err := client.Get(ctx, address, "")
	if err != nil {
		return "", err
	}
	var metadata map[string]strictjson.Value
	if strictjson.Object(document.Body, &metadata) != nil {
		return "", fmt.Errorf("%w: not a JSON object", errDocument)
	}
	// RFC 8414 §3.3: identical, or an attacker's document could name the keys, or
	// collect our credentials.
	if text(metadata["issuer"]) != l.Issuer {
		return "", fmt.Errorf("%w: its issuer is not %q", errDocument, l.Issuer)
	}
	found := text(metadata[l.Member])
	if err := fetch.CheckURL(found); err != nil {
		return "", fmt.Errorf("%w: %s: %w", errDocument, l.Member, err)
	}
	// http is for an issuer on loopback; a remote one must not send us there.
	if strings.HasPrefix(l.Issuer, "https:") && !strings.HasPrefix(found, "https:") {
		return "", fmt.Errorf("%w: %s is not https", errDocument, l.Member)
	}
	return found, nil
}

// text returns a member that is a string; empty for any other.
func text(value strictjson.Value) (s string) {
	_ = strictjson.Unmarshal(value, &s)
	return s
}

// documentsOf lists where an issuer's metadata may be: OpenID Connect Discovery
// §4 (append), RFC 8414 §3.1 (insert), and RFC 8414's name appended, which some
// providers serve. Most serve the first.
func documentsOf(issuer string) ([]string, error) {
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
