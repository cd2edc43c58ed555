package prm

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"
)

const (
	allowedMethods = "GET, HEAD, OPTIONS"
	// Clients in browsers send MCP-Protocol-Version. The names come before the
	// wildcard because it does not cover Authorization; the wildcard is for what
	// tracing adds, and harms nothing on a public document.
	allowedHeaders = "Accept, Authorization, Content-Type, MCP-Protocol-Version, *"
	// 7200 s is as long as browsers keep the answer to a preflight.
	preflightMaxAge = "7200"
	// 300 s, because a client that works from an old document sends people to an
	// authorization server that is no longer trusted; asking again costs a 304.
	cacheControl = "public, max-age=300"
)

// A Document is the metadata of one resource, ready to be served. The zero value
// answers 404 to everything. It is immutable and safe for concurrent use.
type Document struct {
	metadata Metadata
	path     string // escaped
	query    string // raw, without "?"
	url      string
	body     []byte
	etag     string
}

// New validates metadata, calls its Sign if there is one, and encodes the
// document once. It copies slices and maps, and does no I/O of its own. The
// error names every mistake (see [Metadata.Validate]); if there is none, what
// Sign did wrong.
func New(metadata Metadata) (*Document, error) {
	if err := metadata.Validate(); err != nil {
		return nil, err
	}
	d := &Document{metadata: metadata.clone()}
	if d.metadata.BearerMethodsSupported == nil {
		d.metadata.BearerMethodsSupported = []string{"header"}
	}
	body, err := d.metadata.encode()
	if err != nil {
		return nil, err
	}
	if d.body, err = d.metadata.sign(body); err != nil {
		return nil, err
	}
	digest := sha256.Sum256(d.body)
	d.etag = `"` + base64.RawURLEncoding.EncodeToString(digest[:16]) + `"`
	d.path, d.query, d.url = insert(d.metadata.Resource)
	return d, nil
}

// Path returns the escaped path to mount the document on (RFC 9728 §3.1),
// without the query that the resource may have. If it ends in a slash,
// http.ServeMux redirects the path without the slash to it; mount
// http.NotFoundHandler there to keep two resources apart (RFC 9728 §6).
func (d *Document) Path() string { return d.path }

// URL returns where clients find the document (RFC 9728 §3.1), query included:
// the value of resource_metadata in a challenge. It holds only characters that
// may stand in a quoted-string unescaped.
func (d *Document) URL() string { return d.url }

// Metadata returns a copy of what is published, with defaults filled in. Values
// inside Extra are shared.
func (d *Document) Metadata() Metadata { return d.metadata.clone() }

// ServeHTTP answers GET and HEAD with the document, OPTIONS with what a browser
// asks before, and other methods with 405. It needs no credentials and does not
// read any.
//
// It answers for its own path only, byte for byte as escaped, and, since a query
// is part of a resource identifier, for its own query only; everything else is
// 404. Host is not compared: proxies change it. To serve resources of several
// hosts from one http.ServeMux, mount each under its host.
func (d *Document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	// The same for every caller, so no Vary. On errors too: a browser client
	// must see a 404 in order to look elsewhere.
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	if d.path == "" || r.URL.EscapedPath() != d.path || r.URL.RawQuery != d.query {
		h.Set("Cache-Control", "no-store")
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h.Set("Cache-Control", cacheControl)
		h.Set("Content-Type", "application/json") // RFC 9728 §3.2
		h.Set("ETag", d.etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(d.body))
	case http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", allowedMethods)
		h.Set("Access-Control-Allow-Headers", allowedHeaders)
		h.Set("Access-Control-Max-Age", preflightMaxAge)
		h.Set("Allow", allowedMethods)
		w.WriteHeader(http.StatusNoContent)
	default:
		h.Set("Allow", allowedMethods)
		h.Set("Cache-Control", "no-store")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}
