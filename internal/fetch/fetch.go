// Package fetch is the only way out: every request to an identity provider is
// made here, under one set of rules for scheme, redirects, time and size.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// Timeout bounds one operation, discovery and keys together.
	Timeout = 5 * time.Second
	// MaxBody bounds a document, in decoded octets.
	MaxBody = 512 << 10
)

// A StatusError is an answer with a status that is of no use.
type StatusError struct {
	// Status is the HTTP status code.
	Status int
	// RetryAfter is what the server asked for; zero where it did not.
	RetryAfter time.Duration
}

// Error names the status only: a body may hold anything.
func (e *StatusError) Error() string { return fmt.Sprintf("unexpected status %d", e.Status) }

// ErrTooLarge is returned for a body over MaxBody.
var ErrTooLarge = errors.New("document is too large")

// A Document is the answer to Get.
type Document struct {
	// Body is the document; nil where NotModified.
	Body []byte
	// ETag is the entity tag to send next time; may be empty.
	ETag string
	// NotModified reports status 304 to a conditional request.
	NotModified bool
}

// A Client makes requests. It is safe for concurrent use. It asks the transport
// itself, because an http.Client follows redirects: one could move the trust
// anchor to another host, or to http.
type Client struct{ transport http.RoundTripper }

// NewClient returns a client on transport. Nil means a transport of its own,
// without compression, so that a small answer cannot become a large one.
func NewClient(transport http.RoundTripper) *Client {
	if transport == nil {
		transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: Timeout}).DialContext,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    Timeout,
			ResponseHeaderTimeout:  Timeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        30 * time.Second,
			DisableCompression:     true,
		}
	}
	return &Client{transport: transport}
}

// Get reads the document at address, with If-None-Match where etag is set. ctx
// must carry a deadline.
func (c *Client) Get(ctx context.Context, address, etag string) (*Document, error) {
	if err := CheckURL(address); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	request.Header.Set("Accept", "application/json, application/jwk-set+json")
	if etag != "" {
		request.Header.Set("If-None-Match", etag)
	}
	response, err := c.do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotModified && etag != "" {
		return &Document{ETag: etag, NotModified: true}, nil
	}
	body, err := read(response)
	if err != nil {
		return nil, err
	}
	return &Document{Body: body, ETag: response.Header.Get("ETag")}, nil
}

func (c *Client) do(request *http.Request) (*http.Response, error) {
	// Set explicitly, this keeps any net/http transport from decompressing.
	request.Header.Set("Accept-Encoding", "identity")
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return nil, unwrap(err)
	}
	// A transport of the user's may break its contract.
	if response == nil {
		return nil, errors.New("the transport returned neither an answer nor an error")
	}
	if response.Body == nil {
		response.Body = http.NoBody
	}
	return response, nil
}

// unwrap takes the *url.Error off, which repeats the whole URL, secrets in its
// query included.
func unwrap(err error) error {
	for {
		wrapped, ok := errors.AsType[*url.Error](err)
		if !ok {
			return err
		}
		if err = wrapped.Err; err == nil {
			return errors.New("the request failed")
		}
	}
}

// read returns the body of a 200 answer, and leaves no other answer's unread
// body to hold the connection.
func read(response *http.Response) ([]byte, error) {
	if response.StatusCode != http.StatusOK {
		return nil, &StatusError{Status: response.StatusCode, RetryAfter: retryAfter(response.Header)}
	}
	if encoding := response.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, errors.New("compressed answer")
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > MaxBody {
		return nil, ErrTooLarge
	}
	return body, nil
}

// retryAfter reads the seconds form of Retry-After (RFC 9110 §10.2.3), at most
// an hour; anything else is zero.
func retryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds > 3600 {
		seconds = 3600
	}
	return time.Duration(seconds) * time.Second
}

// CheckURL refuses an address that must never be asked: anything but https (or
// http on loopback), and URLs with userinfo or a fragment.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return errors.New("not an absolute URL")
	case u.User != nil:
		return errors.New("userinfo is not allowed in a URL")
	case u.Fragment != "" || strings.Contains(address, "#"):
		return errors.New("a fragment is not allowed in a URL")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && Loopback(u.Hostname()):
		return nil
	default:
		return errors.New("https is required outside loopback")
	}
}

// Loopback reports whether host, without port and brackets, is a name or address
// that cannot leave this machine.
func Loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Zone() == "" && address.Unmap().IsLoopback()
}
