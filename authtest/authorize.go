package authtest

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
)

// An authorization is a validated authorization request (RFC 6749 §4.1.1).
type authorization struct {
	client    *client
	redirect  string // where the answer goes
	state     string
	scopes    []string
	resources []string
}

// serveAuthorize serves the authorization endpoint. The page carries the request
// along in its form, and the answer validates it again: there is nothing to
// remember and nothing to forge, as everybody may approve here.
func (i *Issuer) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	values, failure := parseForm(r.URL.RawQuery)
	if r.Method == http.MethodPost {
		values, failure = readForm(w, r)
	}
	if failure != nil {
		http.Error(w, failure.description, http.StatusBadRequest)
		return
	}
	request := authorization{state: values.Get("state")}
	if failure := request.address(i, values); failure != nil {
		// RFC 6749 §4.1.2.1: never redirect to an address that is not the client's.
		http.Error(w, failure.description, http.StatusBadRequest)
		return
	}
	answer := url.Values{}
	switch failure := request.validate(i, values); {
	case failure != nil:
		answer.Set("error", failure.code)
		answer.Set("error_description", failure.description)
	case values.Get("decision") == "deny":
		answer.Set("error", "access_denied")
	case r.Method == http.MethodPost || i.config.AutoApprove:
		answer.Set("code", i.grants.newCode(request.code(i, values)))
	default:
		showPage(w, request, values)
		return
	}
	i.redirect(w, r, request, answer)
}

// redirect answers through the browser, with iss against mix-up (RFC 9207 §2).
func (i *Issuer) redirect(w http.ResponseWriter, r *http.Request, request authorization, answer url.Values) {
	answer.Set("iss", i.config.URL)
	if request.state != "" {
		answer.Set("state", request.state)
	}
	separator := "?"
	if strings.Contains(request.redirect, "?") {
		separator = "&" // RFC 6749 §3.1.2: the client's own query stays
	}
	status := http.StatusFound
	if r.Method == http.MethodPost {
		status = http.StatusSeeOther // RFC 9700 §4.12: never pass a POST on
	}
	w.Header().Set("Location", request.redirect+separator+answer.Encode())
	w.WriteHeader(status)
}

// address finds out who asks and where the answer goes.
func (a *authorization) address(i *Issuer, values url.Values) *oauthError {
	if a.client = i.grants.client(values.Get("client_id")); a.client == nil {
		return refuse("invalid_client", "unknown client_id")
	}
	a.redirect = values.Get("redirect_uri")
	registered := a.client.RedirectURIs
	if a.redirect == "" && len(registered) == 1 {
		a.redirect = registered[0]
		return nil
	}
	for _, uri := range registered {
		if sameRedirect(uri, a.redirect) {
			return nil
		}
	}
	return refuse("invalid_request", "redirect_uri is not one of the client's")
}

// sameRedirect compares octet by octet (RFC 9700 §2.1), except for the port on
// loopback, which native apps learn last (RFC 8252 §7.3).
func sameRedirect(registered, asked string) bool {
	if registered == asked {
		return true
	}
	a, err := url.Parse(registered)
	if err != nil || a.Scheme != "http" || !fetch.Loopback(a.Hostname()) {
		return false
	}
	b, err := url.Parse(asked)
	if err != nil || !validRedirect(asked) {
		return false
	}
	return b.Scheme == a.Scheme && b.Hostname() == a.Hostname() &&
		b.EscapedPath() == a.EscapedPath() && b.RawQuery == a.RawQuery
}

// validate checks what may be answered to the client.
func (a *authorization) validate(i *Issuer, values url.Values) (failure *oauthError) {
	switch {
	case values.Get("response_type") != "code":
		return refuse("unsupported_response_type", "response_type must be code")
	case values.Get("response_mode") != "" && values.Get("response_mode") != "query":
		return refuse("invalid_request", "response_mode must be query")
	case !a.client.may("authorization_code"):
		return refuse("unauthorized_client", "the client did not register authorization_code")
	case values.Get("code_challenge_method") != "S256" || !validChallenge(values.Get("code_challenge")):
		return refuse("invalid_request", "PKCE with S256 is required") // RFC 7636 §4.4.1
	}
	if a.scopes, failure = requestedScopes(values, i.config.Scopes); failure != nil {
		return failure
	}
	a.resources, failure = requestedResources(values, i.config.Resources, i.config.Resources[:1])
	return failure
}

func (a *authorization) code(i *Issuer, values url.Values) *code {
	return &code{
		grant: &grant{
			clientID: a.client.ID, subject: i.config.Subject, scopes: a.scopes,
			resources: a.resources, nonce: values.Get("nonce"),
		},
		redirectURI: values.Get("redirect_uri"),
		challenge:   values.Get("code_challenge"),
	}
}

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Approve access</title>
<h1>Approve access</h1>
<p>This is a test issuer: there is no password, and it must not guard anything real.</p>
<dl>
<dt>Client</dt><dd>{{.Client}}</dd>
<dt>Resource</dt>{{range .Resources}}<dd>{{.}}</dd>{{end}}
<dt>Scopes</dt>{{range .Scopes}}<dd>{{.}}</dd>{{else}}<dd>none</dd>{{end}}
<dt>Then continue to</dt><dd>{{.Redirect}}</dd>
</dl>
<form method="post">
{{range $name, $list := .Values}}{{range $list}}<input type="hidden" name="{{$name}}" value="{{.}}">
{{end}}{{end}}<button name="decision" value="approve">Approve</button>
<button name="decision" value="deny">Deny</button>
</form>
</html>
`

func showPage(w http.ResponseWriter, request authorization, values url.Values) {
	values.Del("decision")
	name := request.client.name
	if name == "" {
		name = request.client.ID
	}
	// form-action stays open: browsers apply it to the redirect after the form.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = template.Must(template.New("page").Parse(page)).Execute(w, map[string]any{
		"Client": name, "Resources": request.resources, "Scopes": request.scopes,
		"Redirect": request.redirect, "Values": values,
	})
}
