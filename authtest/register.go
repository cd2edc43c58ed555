package authtest

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// registration is what the issuer understands of RFC 7591 §2. The rest is
// returned as it came. scope does not restrict the client: if it did, a client
// that registers the scopes of its first challenge could never step up.
type registration struct {
	RedirectURIs  []string `json:"redirect_uris"`
	AuthMethod    string   `json:"token_endpoint_auth_method"`
	GrantTypes    []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
	ClientName    string   `json:"client_name"`
}

// serveRegister serves open registration (RFC 7591 §3).
func (i *Issuer) serveRegister(w http.ResponseWriter, r *http.Request) {
	var asked registration
	answer := make(map[string]any)
	if failure := readRegistration(w, r, &asked, answer); failure != nil {
		failure.write(w)
		return
	}
	if failure := asked.complete(); failure != nil {
		failure.write(w)
		return
	}
	c := &client{
		Client:     Client{ID: rand.Text(), RedirectURIs: asked.RedirectURIs},
		name:       asked.ClientName,
		grantTypes: asked.GrantTypes,
	}
	answer["client_id"] = c.ID
	answer["client_id_issued_at"] = time.Now().Unix()
	answer["token_endpoint_auth_method"] = asked.AuthMethod
	answer["grant_types"] = asked.GrantTypes
	answer["response_types"] = asked.ResponseTypes
	delete(answer, "client_secret")
	delete(answer, "client_secret_expires_at")
	if asked.AuthMethod != "none" {
		c.Secret = rand.Text()
		answer["client_secret"] = c.Secret
		answer["client_secret_expires_at"] = 0 // RFC 7591 §3.2.1: never
	}
	i.grants.register(c)
	writeJSON(w, http.StatusCreated, answer)
}

func readRegistration(w http.ResponseWriter, r *http.Request, asked *registration, answer map[string]any) *oauthError {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return refuse("invalid_client_metadata", "the body must be application/json")
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return refuse("invalid_client_metadata", "the body cannot be read")
	}
	var members map[string]json.RawMessage
	if strictjson.Unmarshal(text, &members) != nil || members == nil || strictjson.Unmarshal(text, asked) != nil {
		return refuse("invalid_client_metadata", "the body is not a JSON object of client metadata")
	}
	for name, value := range members {
		answer[name] = value
	}
	return nil
}

// complete applies the defaults of RFC 7591 §2 and refuses what is not spoken
// here. Without grant_types a client gets all that fit it.
func (r *registration) complete() *oauthError {
	if r.AuthMethod == "" {
		r.AuthMethod = "client_secret_basic"
	}
	if len(r.GrantTypes) == 0 {
		r.GrantTypes = []string{"authorization_code", "refresh_token"}
		if r.AuthMethod != "none" {
			r.GrantTypes = grantTypes()
		}
	}
	interactive := slices.Contains(r.GrantTypes, "authorization_code")
	if len(r.ResponseTypes) == 0 {
		r.ResponseTypes = []string{}
		if interactive {
			r.ResponseTypes = []string{"code"}
		}
	}
	switch {
	case !slices.Contains([]string{"none", "client_secret_basic", "client_secret_post"}, r.AuthMethod):
		return refuse("invalid_client_metadata", "token_endpoint_auth_method is not supported")
	case !subset(r.GrantTypes, grantTypes()):
		return refuse("invalid_client_metadata", "grant_types holds one that is not supported")
	case !subset(r.ResponseTypes, []string{"code"}):
		return refuse("invalid_client_metadata", "response_types holds one that is not supported")
	case interactive && len(r.RedirectURIs) == 0, len(r.RedirectURIs) > maxURIs, !all(r.RedirectURIs, validRedirect):
		return refuse("invalid_redirect_uri", "redirect_uris must be https, or http on loopback, without fragment")
	}
	return nil
}

func all(list []string, ok func(string) bool) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !ok(s) })
}

func subset(list, of []string) bool {
	return all(list, func(s string) bool { return slices.Contains(of, s) })
}
