package authtest

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// An oauthError is an error answer (RFC 6749 §5.2, §4.1.2.1). Its texts are
// constants: nothing of the request comes back.
type oauthError struct {
	status      int
	code        string
	description string
}

func refuse(code, description string) *oauthError {
	return &oauthError{http.StatusBadRequest, code, description}
}

func (e *oauthError) write(w http.ResponseWriter) {
	writeJSON(w, e.status, map[string]any{"error": e.code, "error_description": e.description})
}

// writeJSON forbids caching, as RFC 6749 §5.1 demands for tokens and RFC 7591
// §3.2.1 for clients.
func writeJSON(w http.ResponseWriter, status int, members map[string]any) {
	text, err := json.Marshal(members)
	if err != nil {
		http.Error(w, "the answer cannot be written as JSON", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// readForm reads the body only: parameters in the URL end up in logs (RFC 6749
// §3.2).
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *oauthError) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, refuse("invalid_request", "the body must be application/x-www-form-urlencoded")
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, refuse("invalid_request", "the body cannot be read")
	}
	return parseForm(string(text))
}

// parseForm refuses repeated parameters (RFC 6749 §3.1), except resource, which
// may be (RFC 8707 §2).
func parseForm(text string) (url.Values, *oauthError) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, refuse("invalid_request", "the parameters are malformed")
	}
	for name, list := range values {
		if len(list) > 1 && name != "resource" {
			return nil, refuse("invalid_request", "a parameter is repeated")
		}
	}
	return values, nil
}

// requestedScopes returns the scopes asked for. All must be among known, what
// the issuer knows or what an earlier grant holds. None asked for: none granted.
func requestedScopes(values url.Values, known []string) ([]string, *oauthError) {
	set, err := scopes.Parse(values.Get("scope"))
	if err != nil {
		return nil, refuse("invalid_scope", "scope is malformed")
	}
	asked := set.Slice()
	for _, scope := range asked {
		if !slices.Contains(known, scope) {
			return nil, refuse("invalid_scope", "an unknown scope is asked for, or one beyond the grant")
		}
	}
	return asked, nil
}

// requestedResources returns the resources asked for, or fallback. All must be
// among allowed (RFC 8707 §2).
func requestedResources(values url.Values, allowed, fallback []string) ([]string, *oauthError) {
	var asked []string
	for _, resource := range values["resource"] {
		if !slices.Contains(allowed, resource) {
			return nil, refuse("invalid_target", "no tokens are issued for this resource")
		}
		if !slices.Contains(asked, resource) {
			asked = append(asked, resource)
		}
	}
	if len(asked) == 0 {
		return fallback, nil
	}
	return asked, nil
}
