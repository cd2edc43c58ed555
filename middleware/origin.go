package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
)

// origins returns the allowed origins in their serialized form: the resource's
// own, then the configured ones.
func (c Config) origins() ([]string, error) {
	var errs []error
	for _, origin := range c.AllowedOrigins {
		if err := checkOrigin(origin); err != nil {
			errs = append(errs, fmt.Errorf("Config.AllowedOrigins: %q %w", origin, err))
		}
	}
	all := slices.Clone(c.AllowedOrigins)
	if resource, err := url.Parse(c.Metadata.Resource); err == nil {
		all = slices.Insert(all, 0, serialize(resource))
	}
	return all, errors.Join(errs...)
}

// checkOrigin says what keeps origin from ever being equal to an Origin field,
// or makes it unsafe to allow.
func checkOrigin(origin string) error {
	if origin == "*" || origin == "null" {
		return errors.New("would let every web page in; name the origins")
	}
	u, err := url.Parse(origin)
	switch {
	case err != nil || u.Scheme == "" || u.Hostname() == "":
		return errors.New("is not an origin (scheme://host or scheme://host:port)")
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(origin, "#"):
		return errors.New("has more than scheme, host and port")
	case !isPort(u):
		return errors.New("has a malformed port")
	case serialize(u) != origin || strings.IndexFunc(origin, needsEscape) >= 0 || strings.ContainsAny(origin, "*%"):
		return fmt.Errorf("is not how a browser writes it (%s, in ASCII, without wildcards)", serialize(u))
	case u.Scheme == "http" && !fetch.Loopback(u.Hostname()):
		return errors.New("is not https")
	}
	return nil
}

func isPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && strconv.FormatUint(port, 10) == u.Port()
}

// serialize returns the ASCII serialization of u's origin (RFC 6454 §6.2).
func serialize(u *url.URL) string {
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return scheme + "://" + host
}

// allowedOrigin returns the request's Origin if it is allowed. The comparison is
// exact: a browser always sends the serialized form.
func (ru *rules) allowedOrigin(r *http.Request) (string, bool) {
	fields := r.Header["Origin"]
	if len(fields) != 1 || !slices.Contains(ru.origins, fields[0]) {
		return "", false
	}
	return fields[0], true
}

// checkCaller applies the MCP transport rule against DNS rebinding (Streamable
// HTTP, §Security & Endpoint). It returns the text of a 403, "" to go on.
func (ru *rules) checkCaller(r *http.Request) string {
	// A page that rebound its name to 127.0.0.1 is same-origin to the browser,
	// which may leave out Origin, but never its name in Host. Programs without a
	// Host (HTTP/1.0) are not browsers.
	if ru.loopback && r.Host != "" && !fetch.Loopback(hostname(r.Host)) {
		return forbiddenHost
	}
	if len(r.Header["Origin"]) == 0 {
		return ""
	}
	if _, allowed := ru.allowedOrigin(r); !allowed {
		return forbiddenOrigin
	}
	return ""
}

// hostname returns a Host field without port and brackets.
func hostname(hostport string) string {
	return (&url.URL{Host: hostport}).Hostname()
}

// onLoopback reports whether the host of a URL is on loopback.
func onLoopback(rawURL string) bool {
	u, err := url.Parse(rawURL)
	return err == nil && fetch.Loopback(u.Hostname())
}
