package authtest_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
)

func TestCodeFlow_gives_a_token_for_the_resource(t *testing.T) {
	a := newCaller(t, config())
	answer := a.authorize(authorizationRequest())
	if answer.Get("state") != "st&te" || answer.Get("iss") != authtest.DefaultURL {
		t.Errorf("answer %v", answer)
	}
	got := a.post("/token", tokenRequest(answer.Get("code")))
	if got.status != http.StatusOK || got.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got.JSON["token_type"] != "Bearer" || got.JSON["expires_in"] != 300.0 || got.JSON["scope"] != "files:read" {
		t.Errorf("answer %s", got.body)
	}
	if got.JSON["id_token"] != nil {
		t.Error("an ID token although openid was not asked for")
	}
	wantClaims(t, a.claims(got.JSON["access_token"]), map[string]any{
		"iss": authtest.DefaultURL, "aud": resource, "sub": "user-1", "client_id": "public", "scope": "files:read",
	})
}

func TestCodeFlow_with_openid_gives_an_ID_token_for_the_client(t *testing.T) {
	a := newCaller(t, config())
	code := a.code("scope", "openid", "nonce", "n-1")
	got := a.post("/token", tokenRequest(code))
	wantClaims(t, a.claims(got.JSON["id_token"]), map[string]any{"aud": "public", "sub": "user-1", "nonce": "n-1", "scope": nil})
}

func TestCodeFlow_without_resource_or_scope_takes_the_first_resource_and_no_scope(t *testing.T) {
	a := newCaller(t, config())
	code := a.code("resource", "", "scope", "")
	got := a.post("/token", form(tokenRequest(code), "resource", ""))
	claims := a.claims(got.JSON["access_token"])
	wantClaims(t, claims, map[string]any{"aud": resource})
	if _, ok := claims["scope"]; ok {
		t.Error("a scope that nobody asked for")
	}
}

func TestCodeFlow_several_resources(t *testing.T) {
	a := newCaller(t, config())
	values := authorizationRequest()
	values["resource"] = []string{resource, otherResource}
	all := a.post("/token", form(tokenRequest(a.authorize(values).Get("code")), "resource", ""))
	wantClaims(t, a.claims(all.JSON["access_token"]), map[string]any{"aud": []any{resource, otherResource}})
	one := a.post("/token", form(tokenRequest(a.authorize(values).Get("code")), "resource", otherResource))
	wantClaims(t, a.claims(one.JSON["access_token"]), map[string]any{"aud": otherResource})
}

func TestAuthorize_refuses_without_redirecting(t *testing.T) {
	a := newCaller(t, config())
	for name, values := range map[string]url.Values{
		"unknown client":         form(authorizationRequest(), "client_id", "nobody"),
		"no client":              form(authorizationRequest(), "client_id", ""),
		"wrong redirect_uri":     form(authorizationRequest(), "redirect_uri", "https://evil.example/callback"),
		"redirect_uri prefix":    form(authorizationRequest(), "redirect_uri", redirectURI+"/x"),
		"redirect_uri ambiguous": form(authorizationRequest(), "redirect_uri", ""),
		"repeated parameter":     {"client_id": {"public", "public"}, "redirect_uri": {redirectURI}},
		"loopback path":          form(authorizationRequest(), "redirect_uri", "http://127.0.0.1:4711/other"),
		"loopback host":          form(authorizationRequest(), "redirect_uri", "http://localhost/callback"),
	} {
		t.Run(name, func(t *testing.T) {
			got := a.get(a.issuer.URL() + "/authorize?" + values.Encode())
			if got.status != http.StatusBadRequest || got.header.Get("Location") != "" {
				t.Errorf("%d, Location %q", got.status, got.header.Get("Location"))
			}
		})
	}
}

func TestAuthorize_accepts(t *testing.T) {
	a := newCaller(t, config())
	for name, pairs := range map[string][]string{
		"any port on loopback (RFC 8252 §7.3)": {"redirect_uri", "http://127.0.0.1:4711/callback"},
		"the only redirect URI by default":     {"redirect_uri", "", "client_id", "confidential"},
	} {
		t.Run(name, func(t *testing.T) { a.code(pairs...) })
	}
}

func TestAuthorize_tells_the_client(t *testing.T) {
	a := newCaller(t, config())
	for name, test := range map[string]struct {
		pairs []string
		want  string
	}{
		"no PKCE":                {[]string{"code_challenge", ""}, "invalid_request"},
		"PKCE plain":             {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"PKCE without method":    {[]string{"code_challenge_method", ""}, "invalid_request"},
		"PKCE of a wrong length": {[]string{"code_challenge", "abc"}, "invalid_request"},
		"implicit":               {[]string{"response_type", "token"}, "unsupported_response_type"},
		"fragment":               {[]string{"response_mode", "fragment"}, "invalid_request"},
		"unknown scope":          {[]string{"scope", "files:read admin"}, "invalid_scope"},
		"malformed scope":        {[]string{"scope", "a\"b"}, "invalid_scope"},
		"wrong resource":         {[]string{"resource", "https://evil.example/mcp"}, "invalid_target"},
		"resource with a slash":  {[]string{"resource", resource + "/"}, "invalid_target"},
		"denied":                 {[]string{"decision", "deny"}, "access_denied"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := a.authorize(form(authorizationRequest(), test.pairs...))
			if answer.Get("error") != test.want || answer.Get("code") != "" {
				t.Errorf("answer %v, want %s", answer, test.want)
			}
			if answer.Get("state") != "st&te" || answer.Get("iss") != authtest.DefaultURL {
				t.Errorf("state or iss is missing: %v", answer)
			}
		})
	}
}

func TestAuthorize_page_approves_and_denies(t *testing.T) {
	c := config()
	c.AutoApprove = false
	a := newCaller(t, c)
	page := a.get(a.issuer.URL() + "/authorize?" + form(authorizationRequest(), "state", `"><script>`).Encode())
	if page.status != http.StatusOK || strings.Contains(page.body, "<script>") || strings.Count(page.body, "<form") != 1 {
		t.Fatalf("%d %s", page.status, page.body)
	}
	values := url.Values{}
	for _, field := range regexp.MustCompile(`name="(\w+)" value="([^"]*)"`).FindAllStringSubmatch(page.body, -1) {
		if field[1] != "decision" {
			values.Add(field[1], html.UnescapeString(field[2]))
		}
	}
	denied := a.callback(a.post("/authorize", form(values, "decision", "deny")))
	if denied.Get("error") != "access_denied" {
		t.Errorf("denied: %v", denied)
	}
	got := a.post("/authorize", form(values, "decision", "approve"))
	approved := a.callback(got)
	if got.status != http.StatusSeeOther || approved.Get("state") != `"><script>` {
		t.Errorf("%d %v", got.status, approved)
	}
	if token := a.post("/token", tokenRequest(approved.Get("code"))); token.status != http.StatusOK {
		t.Errorf("%d %s", token.status, token.body)
	}
}

func TestToken_refuses_a_code_that_does_not_fit(t *testing.T) {
	a := newCaller(t, config())
	for name, test := range map[string]struct {
		pairs []string
		want  string
	}{
		"wrong code_verifier": {[]string{"code_verifier", strings.Repeat("x", 43)}, "invalid_grant"},
		"no code_verifier":    {[]string{"code_verifier", ""}, "invalid_grant"},
		"wrong redirect_uri":  {[]string{"redirect_uri", "https://app.example/other"}, "invalid_grant"},
		"no redirect_uri":     {[]string{"redirect_uri", ""}, "invalid_grant"},
		"wrong code":          {[]string{"code", "guessed"}, "invalid_grant"},
		"other client":        {[]string{"client_id", "confidential", "client_secret", "s3cret&/ü"}, "invalid_grant"},
		"other resource":      {[]string{"resource", otherResource}, "invalid_target"},
		"foreign resource":    {[]string{"resource", "https://evil.example"}, "invalid_target"},
		"grant type":          {[]string{"grant_type", "password"}, "unsupported_grant_type"},
		"no grant type":       {[]string{"grant_type", ""}, "unsupported_grant_type"},
	} {
		t.Run(name, func(t *testing.T) {
			got := a.post("/token", form(tokenRequest(a.code()), test.pairs...))
			wantError(t, got, http.StatusBadRequest, test.want)
			if got.JSON["access_token"] != nil {
				t.Error("a token all the same")
			}
		})
	}
}

func TestToken_code_replay_is_refused_and_revokes(t *testing.T) {
	a := newCaller(t, config())
	request := tokenRequest(a.code())
	first := a.post("/token", request)
	refresh, _ := first.JSON["refresh_token"].(string)
	if refresh == "" {
		t.Fatalf("%d %s", first.status, first.body)
	}
	wantError(t, a.post("/token", request), http.StatusBadRequest, "invalid_grant")
	got := a.post("/token", form(nil, "grant_type", "refresh_token", "client_id", "public", "refresh_token", refresh))
	wantError(t, got, http.StatusBadRequest, "invalid_grant")
}

func TestToken_code_expires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCaller(t, config())
		fresh, stale := a.code(), a.code()
		time.Sleep(time.Minute - time.Second) // virtual
		if got := a.post("/token", tokenRequest(fresh)); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
		time.Sleep(time.Second)
		wantError(t, a.post("/token", tokenRequest(stale)), http.StatusBadRequest, "invalid_grant")
	})
}

func TestRefresh_rotates_and_narrows(t *testing.T) {
	a := newCaller(t, config())
	values := form(authorizationRequest(), "scope", "files:read files:write")
	values["resource"] = []string{resource, otherResource}
	first := a.post("/token", form(tokenRequest(a.authorize(values).Get("code")), "resource", ""))
	refresh := func(token any, pairs ...string) reply {
		text, _ := token.(string)
		return a.post("/token", form(form(nil, "grant_type", "refresh_token", "client_id", "public", "refresh_token", text), pairs...))
	}
	second := refresh(first.JSON["refresh_token"])
	wantClaims(t, a.claims(second.JSON["access_token"]), map[string]any{
		"aud": []any{resource, otherResource}, "scope": "files:read files:write",
	})
	if second.JSON["refresh_token"] == first.JSON["refresh_token"] {
		t.Error("the refresh token did not rotate")
	}
	wantError(t, refresh(second.JSON["refresh_token"], "scope", "openid"), http.StatusBadRequest, "invalid_scope")
	wantError(t, refresh(second.JSON["refresh_token"], "resource", "https://evil.example"), http.StatusBadRequest, "invalid_target")
	narrow := refresh(second.JSON["refresh_token"], "scope", "files:read", "resource", otherResource)
	wantClaims(t, a.claims(narrow.JSON["access_token"]), map[string]any{"aud": otherResource, "scope": "files:read"})
	wide := refresh(narrow.JSON["refresh_token"])
	wantClaims(t, a.claims(wide.JSON["access_token"]), map[string]any{"scope": "files:read files:write"})

	wantError(t, refresh(first.JSON["refresh_token"]), http.StatusBadRequest, "invalid_grant")
	wantError(t, refresh(wide.JSON["refresh_token"]), http.StatusBadRequest, "invalid_grant")
}

func TestClientCredentials(t *testing.T) {
	a := newCaller(t, config())
	basic := func(id, secret string, pairs ...string) reply {
		values := form(form(nil, "grant_type", "client_credentials", "scope", "files:read"), pairs...)
		request := a.request(http.MethodPost, a.issuer.URL()+"/token", "application/x-www-form-urlencoded", values.Encode())
		request.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
		return a.do(request)
	}
	got := basic("confidential", "s3cret&/ü")
	wantClaims(t, a.claims(got.JSON["access_token"]), map[string]any{
		"sub": "confidential", "client_id": "confidential", "aud": resource, "scope": "files:read",
	})
	if got.JSON["refresh_token"] != nil {
		t.Error("a refresh token (RFC 6749 §4.4.3)")
	}
	post := a.post("/token", form(nil, "grant_type", "client_credentials", "client_id", "confidential",
		"client_secret", "s3cret&/ü", "resource", otherResource))
	wantClaims(t, a.claims(post.JSON["access_token"]), map[string]any{"aud": otherResource})

	wrong := basic("confidential", "wrong")
	wantError(t, wrong, http.StatusUnauthorized, "invalid_client")
	if !strings.HasPrefix(wrong.header.Get("WWW-Authenticate"), "Basic ") {
		t.Error("no challenge (RFC 6749 §5.2)")
	}
	wantError(t, basic("confidential", "s3cret&/ü", "client_secret", "s3cret&/ü"), http.StatusBadRequest, "invalid_request")
	wantError(t, basic("confidential", "s3cret&/ü", "client_id", "public"), http.StatusBadRequest, "invalid_request")
	wantError(t, basic("confidential", "s3cret&/ü", "scope", "admin"), http.StatusBadRequest, "invalid_scope")
	wantError(t, basic("confidential", "s3cret&/ü", "resource", "https://evil.example"), http.StatusBadRequest, "invalid_target")
	wantError(t, basic("public", ""), http.StatusBadRequest, "unauthorized_client")
	wantError(t, basic("nobody", ""), http.StatusUnauthorized, "invalid_client")
}

func TestToken_reads_the_body_only(t *testing.T) {
	a := newCaller(t, config())
	target := a.issuer.URL() + "/token"
	query := a.request(http.MethodPost, target+"?"+tokenRequest(a.code()).Encode(), "application/x-www-form-urlencoded", "")
	wantError(t, a.do(query), http.StatusUnauthorized, "invalid_client")
	wantError(t, a.do(a.request(http.MethodPost, target, "application/json", "{}")), http.StatusBadRequest, "invalid_request")
	repeated := a.request(http.MethodPost, target, "application/x-www-form-urlencoded", "client_id=public&client_id=public")
	wantError(t, a.do(repeated), http.StatusBadRequest, "invalid_request")
	large := a.request(http.MethodPost, target, "application/x-www-form-urlencoded", "x="+strings.Repeat("x", 1<<20))
	wantError(t, a.do(large), http.StatusBadRequest, "invalid_request")
	if got := a.get(target); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "POST" {
		t.Errorf("%d, Allow %q", got.status, got.header.Get("Allow"))
	}
}

func TestIssuer_is_safe_for_concurrent_use(t *testing.T) {
	a := newCaller(t, config())
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			for range 5 {
				request := tokenRequest(a.authorize(authorizationRequest()).Get("code"))
				if got := a.post("/token", request); got.status != http.StatusOK {
					t.Errorf("%d %s", got.status, got.body)
				}
				switch n % 4 {
				case 0:
					a.issuer.Rotate(100)
				case 1:
					a.issuer.Token(authtest.Claims{"n": n})
				case 2:
					a.issuer.SetFault(authtest.EndpointRegister, authtest.Flap(authtest.HTML(), nil))
					a.register(`{"redirect_uris":["https://app.example/cb"]}`)
				case 3:
					a.issuer.Hits(authtest.EndpointAll)
					a.get(a.issuer.URL() + "/jwks")
				}
			}
		})
	}
	group.Wait()
	if got := a.issuer.Hits(authtest.EndpointToken); got != 40 {
		t.Errorf("%d token requests, want 40", got)
	}
}

func TestToken_one_code_is_redeemed_once_by_many(t *testing.T) {
	a := newCaller(t, config())
	request := tokenRequest(a.code())
	var mu sync.Mutex
	var statuses []int
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			got := a.post("/token", request)
			mu.Lock()
			defer mu.Unlock()
			statuses = append(statuses, got.status)
		})
	}
	group.Wait()
	if slices.Sort(statuses); statuses[0] > http.StatusBadRequest || statuses[1] != http.StatusBadRequest {
		t.Errorf("statuses %v", statuses)
	}
}
