package exchange_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// answer is a good one with members replaced; an empty value leaves one out.
func answer(replace ...string) string {
	members := map[string]string{
		"access_token": `"AT-0123456789abcdef"`, "issued_token_type": `"` + exchange.TypeAccessToken + `"`,
		"token_type": `"Bearer"`, "expires_in": `300`, "scope": `"reports:read"`,
	}
	for i := 0; i < len(replace); i += 2 {
		members[replace[i]] = replace[i+1]
	}
	var all []string
	for name, value := range members {
		if value != "" {
			all = append(all, `"`+name+`":`+value)
		}
	}
	return "{" + strings.Join(all, ",") + "}"
}

func TestBadAnswers(t *testing.T) {
	long := strings.Repeat("a", 16<<10+1)
	for name, c := range map[string]struct {
		fault authtest.Fault
		text  string
	}{
		"HTML":                               {authtest.HTML(), "media type"},
		"no media type":                      {authtest.Respond(200, http.Header{"Content-Type": nil}, answer()), "media type"},
		"nothing":                            {authtest.JSON(""), "strict JSON object"},
		"null":                               {authtest.JSON("null"), "strict JSON object"},
		"an array":                           {authtest.JSON("[" + answer() + "]"), "strict JSON object"},
		"an empty object":                    {authtest.JSON("{}"), "access_token is missing"},
		"an error with status 200":           {authtest.JSON(`{"error":"invalid_grant"}`), "access_token is missing"},
		"cut off":                            {authtest.JSON(answer()[:40]), "strict JSON object"},
		"two objects":                        {authtest.JSON(answer() + answer()), "strict JSON object"},
		"a member twice":                     {authtest.JSON(strings.TrimSuffix(answer(), "}") + `,"access_token":"other"}`), "strict JSON object"},
		"a member in another case":           {authtest.JSON(answer("access_token", "", "ACCESS_TOKEN", `"AT"`)), "access_token is missing"},
		"oversized":                          {authtest.JSON(strings.TrimSuffix(answer(), "}") + strings.Repeat(" ", 600<<10) + "}"), "too large"},
		"a huge token":                       {authtest.JSON(answer("access_token", `"`+long+`"`)), "over 16384"},
		"a token with a line break":          {authtest.JSON(answer("access_token", `"AT\r\nX-Evil: 1"`)), "characters"},
		"a token with a blank":               {authtest.JSON(answer("access_token", `"A T"`)), "characters"},
		"a token that is a number":           {authtest.JSON(answer("access_token", `17`)), "wrong type"},
		"issued_token_type absent":           {authtest.JSON(answer("issued_token_type", "")), "issued_token_type is missing"},
		"issued_token_type null":             {authtest.JSON(answer("issued_token_type", "null")), "issued_token_type is not"},
		"issued_token_type of an ID token":   {authtest.JSON(answer("issued_token_type", `"urn:ietf:params:oauth:token-type:id_token"`)), "issued_token_type is not"},
		"issued_token_type of a refresh one": {authtest.JSON(answer("issued_token_type", `"urn:ietf:params:oauth:token-type:refresh_token"`)), "issued_token_type is not"},
		"scope wider than asked":             {authtest.JSON(answer("scope", `"reports:read reports:write"`)), "wider"},
		"scope of something else":            {authtest.JSON(answer("scope", `"admin"`)), "wider"},
		"scope with illegal characters":      {authtest.JSON(answer("scope", `"a\"b"`)), "scope has characters"},
		"scope as an array":                  {authtest.JSON(answer("scope", `["reports:read"]`)), "scope is not a string"},
		"scope that fills the memory":        {authtest.JSON(answer("scope", `"reports:read `+long+`"`)), "over 16384"},
		"expires_in absent":                  {authtest.JSON(answer("expires_in", "")), "expires_in is missing"},
		"expires_in null":                    {authtest.JSON(answer("expires_in", "null")), "not a number"},
		"expires_in as text":                 {authtest.JSON(answer("expires_in", `"300"`)), "not a number"},
		"expires_in negative":                {authtest.JSON(answer("expires_in", "-1")), "less than a second"},
		"expires_in hugely negative":         {authtest.JSON(answer("expires_in", "-1e999")), "less than a second"},
		"expires_in zero":                    {authtest.JSON(answer("expires_in", "0")), "less than a second"},
		"expires_in huge":                    {authtest.JSON(answer("expires_in", "1e10")), "more than a year"},
		"expires_in beyond every number":     {authtest.JSON(answer("expires_in", "1e999")), "more than a year"},
		"expires_in overflowing a duration":  {authtest.JSON(answer("expires_in", "9223372037")), "more than a year"},
		"token_type absent":                  {authtest.JSON(answer("token_type", "")), "token_type"},
		"token_type MAC":                     {authtest.JSON(answer("token_type", `"MAC"`)), "token_type"},
		"token_type N_A for an access token": {authtest.JSON(answer("token_type", `"N_A"`)), "token_type"},
		"a redirect":                         {authtest.Redirect("https://evil.example/token"), "status 302"},
		"a redirect that keeps the method":   {authtest.Respond(307, http.Header{"Location": {"https://issuer.example/token2"}}, ""), "status 307"},
		"created":                            {authtest.Respond(201, http.Header{"Content-Type": {"application/json"}}, answer()), "status 201"},
		"compressed":                         {authtest.Respond(200, http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, answer()), "compressed"},
		"slow":                               {authtest.Slow(6 * time.Second), ""},
		"hanging":                            {authtest.Hang(), ""},
		"down":                               {authtest.Down(), ""},
		"a server error":                     {authtest.Respond(500, nil, "oops"), "status 500"},
		"a bad request without code":         {authtest.Respond(400, nil, "no"), "status 400"},
		"an unknown code":                    {refusal(`{"error":"` + long[:100] + `"}`), "status 400"},
		"a code with status 500":             {authtest.Respond(500, http.Header{"Content-Type": {"application/json"}}, `{"error":"invalid_grant"}`), "status 500"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				alice := w.user("alice")
				for range 2 { // the second asks again
					before, start := w.issuer.Hits(authtest.EndpointAll), time.Now()
					w.issuer.SetFault(authtest.EndpointToken, c.fault)
					_, err := w.exchange(alice)
					isClass(t, err, verifier.ErrUnavailable)
					if refused, ok := errors.AsType[*exchange.Error](err); !ok || !strings.Contains(err.Error(), c.text) || refused.Issuer != w.issuer.URL() {
						t.Errorf("error %v, want %q in it", err, c.text)
					}
					if strings.Contains(err.Error(), "AT-0") || strings.Contains(err.Error(), "aaaa") || strings.Contains(err.Error(), "evil") {
						t.Errorf("the error repeats the answer: %v", err)
					}
					if took := time.Since(start); took > 5*time.Second {
						t.Errorf("took %v", took)
					}
					if w.issuer.Hits(authtest.EndpointAll) == before {
						t.Error("the failure was remembered")
					}
				}
				w.issuer.ClearFaults()
				if got := w.mustExchange(alice); strings.HasPrefix(got.AccessToken(), "AT") || got.AccessToken() == "other" {
					t.Error("a token of a bad answer was remembered")
				}
			})
		})
	}
}

func TestGoodAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		body, scopes, scheme string
	}{
		"as asked":              {answer(), "reports:read", "Bearer"},
		"no scope: as asked":    {answer("scope", ""), "reports:read", "Bearer"},
		"scope null: as asked":  {answer("scope", "null"), "reports:read", "Bearer"},
		"fewer scopes":          {answer("scope", `""`), "", "Bearer"},
		"any case":              {answer("token_type", `"bEARER"`), "reports:read", "Bearer"},
		"bound":                 {answer("token_type", `"dpop"`), "reports:read", "DPoP"},
		"a fraction":            {answer("expires_in", "300.9"), "reports:read", "Bearer"},
		"a refresh token":       {answer("refresh_token", `"RT"`), "reports:read", "Bearer"},
		"members of other RFCs": {answer("authorization_details", `[{"type":"a"}]`), "reports:read", "Bearer"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.issuer.SetFault(authtest.EndpointToken, authtest.JSON(c.body))
				token := w.mustExchange(w.user("alice"))
				if token.Scopes.String() != c.scopes || token.Scheme != c.scheme || time.Until(token.Expiry) != 300*time.Second {
					t.Errorf("%s, %s, %v", token.Scopes, token.Scheme, time.Until(token.Expiry))
				}
			})
		})
	}
}

func TestTheVeryTokenThatWasSentIsNoAnswer(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice")
	w.issuer.SetFault(authtest.EndpointToken, authtest.JSON(answer("access_token", `"`+alice.DangerouslyRaw()+`"`)))
	_, err := w.exchange(alice)
	isClass(t, err, verifier.ErrUnavailable)
}

func TestWiderScopesCanBeAccepted(t *testing.T) {
	w := newWorld(t, func(c *exchange.Config) { c.AcceptWiderScopes = true })
	w.issuer.SetFault(authtest.EndpointToken, authtest.JSON(answer("scope", `"reports:read profile"`)))
	if got := w.mustExchange(w.user("alice")).Scopes.String(); got != "profile reports:read" {
		t.Error(got)
	}
}

func TestWhatIsNoAccessTokenHasNoScheme(t *testing.T) {
	const idJAG = "urn:ietf:params:oauth:token-type:id-jag"
	w := newWorld(t)
	w.issuer.SetFault(authtest.EndpointToken, authtest.JSON(answer("issued_token_type", `"`+idJAG+`"`, "token_type", `"N_A"`)))
	to := target()
	to.TokenType = idJAG
	token, err := exchangeFor(t, w.client, w.user("alice"), to)
	if err != nil || token.Scheme != "N_A" || token.Type != idJAG {
		t.Fatalf("%v, %v", token, err)
	}
}

func TestRefusals(t *testing.T) {
	const challenge = `{\"access_token\":{\"polids\":{\"essential\":true,\"values\":[\"9ab03e19-ed42-4168-b6b7-7001fb3e933a\"]}}}`
	for name, c := range map[string]struct {
		status int
		body   string
		class  error
		claims string
		ours   bool
	}{
		"invalid_grant":            {400, `{"error":"invalid_grant"}`, verifier.ErrInvalidToken, "", false},
		"invalid_token":            {401, `{"error":"invalid_token"}`, verifier.ErrInvalidToken, "", false},
		"interaction_required":     {400, `{"error":"interaction_required"}`, exchange.ErrInteractionRequired, "", false},
		"login_required":           {400, `{"error":"login_required"}`, exchange.ErrInteractionRequired, "", false},
		"consent_required":         {400, `{"error":"consent_required"}`, exchange.ErrInteractionRequired, "", false},
		"insufficient_scope":       {403, `{"error":"insufficient_scope"}`, exchange.ErrInteractionRequired, "", false},
		"invalid_request":          {400, `{"error":"invalid_request"}`, nil, "", false},
		"invalid_scope":            {400, `{"error":"invalid_scope"}`, nil, "", false},
		"invalid_target":           {400, `{"error":"invalid_target"}`, nil, "", false},
		"access_denied":            {403, `{"error":"access_denied"}`, nil, "", false},
		"unsupported_grant_type":   {400, `{"error":"unsupported_grant_type"}`, nil, "", false},
		"invalid_client":           {401, `{"error":"invalid_client"}`, verifier.ErrUnavailable, "", true},
		"unauthorized_client":      {400, `{"error":"unauthorized_client"}`, verifier.ErrUnavailable, "", true},
		"401 without code":         {401, ``, verifier.ErrUnavailable, "", true},
		"temporarily_unavailable":  {400, `{"error":"temporarily_unavailable"}`, verifier.ErrUnavailable, "", false},
		"too many requests":        {429, `{"error":"slow_down"}`, verifier.ErrUnavailable, "", false},
		"claims challenge":         {400, `{"error":"interaction_required","suberror":"basic_action","claims":"` + challenge + `"}`, exchange.ErrInteractionRequired, strings.ReplaceAll(challenge, `\`, ``), false},
		"challenge, other code":    {400, `{"error":"invalid_grant","claims":"` + challenge + `"}`, exchange.ErrInteractionRequired, strings.ReplaceAll(challenge, `\`, ``), false},
		"consent as a suberror":    {400, `{"error":"invalid_grant","suberror":"consent_required"}`, exchange.ErrInteractionRequired, "", false},
		"suberror of a bad token":  {400, `{"error":"invalid_grant","suberror":"bad_token"}`, verifier.ErrInvalidToken, "", false},
		"challenge without code":   {400, `{"claims":"` + challenge + `"}`, verifier.ErrUnavailable, "", false},
		"challenge that is no one": {400, `{"error":"interaction_required","claims":"say please"}`, exchange.ErrInteractionRequired, "", false},
		"challenge not a string":   {400, `{"error":"invalid_grant","claims":{}}`, verifier.ErrInvalidToken, "", false},
		"huge challenge":           {400, `{"error":"interaction_required","claims":"{\"a\":\"` + strings.Repeat("a", 8<<10) + `\"}"}`, verifier.ErrUnavailable, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.issuer.SetFault(authtest.EndpointToken, authtest.Respond(c.status, http.Header{"Content-Type": {"application/json"}, "Retry-After": {"7"}}, c.body))
			_, err := w.exchange(w.user("alice"))
			isClass(t, err, c.class)
			refused, ok := errors.AsType[*exchange.Error](err)
			if !ok || refused.Status != c.status || refused.Claims != c.claims || refused.RetryAfter != 7*time.Second {
				t.Errorf("%#v", err)
			}
			if errors.Is(err, verifier.ErrOurCredentials) != c.ours {
				t.Errorf("ours: %v", err)
			}
			if strings.Contains(err.Error(), "polids") {
				t.Error("the challenge is printed")
			}
		})
	}
}
