package exchange

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// FuzzAnswer looks for an answer that is taken and should not be.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"access_token":"AT","issued_token_type":"` + TypeAccessToken + `","token_type":"Bearer","expires_in":300,"scope":"a b"}`,
		`{"access_token":"sent","issued_token_type":"` + TypeAccessToken + `","token_type":"dpop","expires_in":1e9}`,
		`{"access_token":"a b","token_type":"N_A","expires_in":"1","scope":["a"]}`,
		`{"access_token":"x","access_token":"y"}`,
		`<html>`, `null`, ``,
	} {
		f.Add([]byte(body))
	}
	asked, err := scopes.Of("a", "b")
	if err != nil {
		f.Fatal(err)
	}
	now := time.Now()
	w := &wanted{Target: Target{TokenType: TypeAccessToken}, scopes: asked, grant: grantExchange}
	f.Fuzz(func(t *testing.T, body []byte) {
		token, err := new(Client).read(&fetch.Answer{MediaType: "application/json", Body: body}, w, "sent", now)
		if (token == nil) != (err != nil) {
			t.Fatalf("%v, %v", token, err)
		}
		if err != nil {
			return
		}
		text := token.AccessToken()
		switch {
		case text == "" || text == "sent" || len(text) > maxToken || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
			t.Errorf("token %q", text)
		case token.Scheme != "Bearer" && token.Scheme != "DPoP" || token.Type != TypeAccessToken:
			t.Errorf("%s of type %s", token.Scheme, token.Type)
		case token.Expiry.Before(now.Add(time.Second)) || token.Expiry.After(now.Add(maxLifetime)):
			t.Errorf("ends %v from now", token.Expiry.Sub(now))
		case !asked.Contains(token.Scopes):
			t.Errorf("scopes %s", token.Scopes)
		}
	})
}
