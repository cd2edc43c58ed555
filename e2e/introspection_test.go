//go:build e2e

package e2e

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// introspecting returns the configuration of a verifier that asks p.
func introspecting(resource string, p *provider) verifier.IntrospectionConfig {
	return verifier.IntrospectionConfig{Resource: resource, Issuer: p.issuer, Auth: clientauth.SecretBasic("gatehouse", secret)}
}

// requireSigned makes config take signed answers only.
func requireSigned(config *verifier.IntrospectionConfig) {
	config.Signed, config.SignedAudience, config.Algorithms = true, "gatehouse", []string{"ES256"}
}

func newIntrospection(t *testing.T, config verifier.IntrospectionConfig) *verifier.Introspection {
	t.Helper()
	judge, err := verifier.NewIntrospection(config)
	if err != nil {
		t.Fatal(err)
	}
	return judge
}

// answers is a transport that notes the media types of introspection answers.
type answers struct {
	http.RoundTripper
	accept string // replaces Accept where not empty
	kinds  synced[string]
}

func newAnswers(t *testing.T) *answers {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &answers{RoundTripper: transport}
}

func (a *answers) RoundTrip(request *http.Request) (*http.Response, error) {
	asked := strings.HasSuffix(request.URL.Path, "/introspection")
	if asked && a.accept != "" {
		request = request.Clone(request.Context())
		request.Header.Set("Accept", a.accept)
	}
	response, err := a.RoundTripper.RoundTrip(request)
	if err == nil && asked {
		kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
		a.kinds.add(kind)
	}
	return response, err
}

func TestOfficialGoSDKLogsInForOpaqueTokens(t *testing.T) {
	for kind, signed := range map[string]bool{"application/json": false, signedAnswer: true} {
		t.Run(kind, func(t *testing.T) {
			seen := newAnswers(t)
			judge := func(t *testing.T, resource string, p *provider) verifier.Verifier {
				config := introspecting(resource, p)
				config.Transport = seen
				if signed {
					requireSigned(&config)
				}
				return newIntrospection(t, config)
			}
			eachFront(t, setup{alg: "ES256", opaque: true, judge: judge}, goStory)
			got := seen.kinds.all()
			if len(got) == 0 {
				t.Error("nobody asked the provider")
			}
			for _, have := range got {
				if have != kind {
					t.Errorf("an answer of type %q, want %q", have, kind)
				}
			}
		})
	}
}

// introspected starts a provider of opaque tokens and a server that asks it.
func introspected(t *testing.T, change func(*verifier.IntrospectionConfig)) (front, *server, *provider, *verifier.Introspection) {
	t.Helper()
	listener := listen(t)
	f := direct(t, listener.Addr().String())
	p := newProvider(t, "ES256", true)
	config := introspecting(f.resource, p)
	if change != nil {
		change(&config)
	}
	judge := newIntrospection(t, config)
	return f, serve(t, listener, f.resource, p.issuer, judge), p, judge
}

// questions counts how often the provider was asked.
func (p *provider) questions(t *testing.T) (n int) {
	t.Helper()
	for _, event := range p.log(t) {
		if event.Event == "introspection" {
			n++
		}
	}
	return n
}

// lastReason is why the guard refused the last request.
func (s *server) lastReason() verifier.Reason {
	events := s.events.all()
	return events[len(events)-1].Reason
}

func TestRevokedTokenIsRefusedWithinTheTTL(t *testing.T) {
	const ttl = 2 * time.Second
	for name, change := range map[string]func(*verifier.IntrospectionConfig){
		"plain":  func(config *verifier.IntrospectionConfig) { config.TTL = ttl },
		"signed": func(config *verifier.IntrospectionConfig) { config.TTL = ttl; requireSigned(config) },
	} {
		t.Run(name, func(t *testing.T) {
			f, s, p, _ := introspected(t, change)
			token := p.machineToken(t, f.resource, "mcp:tools")
			begin := time.Now()
			for range 3 {
				if response := post(t, f, token); response.StatusCode != http.StatusOK {
					t.Fatalf("status %d before the revocation, want 200", response.StatusCode)
				}
			}
			if n := p.questions(t); n != 1 && time.Since(begin) < ttl {
				t.Errorf("%d questions for 3 requests within the TTL, want 1", n)
			}

			p.revoke(t, "machine", token)
			revoked := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), requestTimeout)
			defer cancel()
			for {
				sent := time.Now()
				response := post(t, f, token)
				if response.StatusCode == http.StatusUnauthorized {
					if challenge := response.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="invalid_token"`) {
						t.Errorf("challenge %q", challenge)
					}
					break
				}
				if response.StatusCode != http.StatusOK || sent.Sub(revoked) > ttl {
					t.Fatalf("status %d to a request sent %v after the revocation", response.StatusCode, sent.Sub(revoked))
				}
				select {
				case <-time.After(50 * time.Millisecond):
				case <-ctx.Done():
					t.Fatal("the revocation was never seen")
				}
			}
			t.Logf("refused %v after the revocation", time.Since(revoked).Round(time.Millisecond))
			if reason := s.lastReason(); reason != verifier.ReasonInactive {
				t.Errorf("reason %q, want %q", reason, verifier.ReasonInactive)
			}
		})
	}
}

func TestForgottenTokenIsAskedAboutAtOnce(t *testing.T) {
	f, s, p, judge := introspected(t, func(config *verifier.IntrospectionConfig) { config.TTL = 5 * time.Minute })
	session, handler := connectGoClient(t, t.Context(), f)
	call := func() error {
		_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "protected_data"})
		return err
	}
	if err := call(); err != nil {
		t.Fatal(err)
	}
	source, err := handler.TokenSource(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, err := source.Token()
	if err != nil {
		t.Fatal(err)
	}
	client := p.introspect(t, "gatehouse", token.AccessToken).ClientID
	p.revokePublic(t, client, token.AccessToken)
	if err := call(); err != nil {
		t.Errorf("the remembered token is refused before its time: %v", err)
	}
	if response := post(t, f, token.AccessToken); response.StatusCode != http.StatusOK {
		t.Errorf("status %d within the TTL, want 200", response.StatusCode)
	}
	judge.Forget(token.AccessToken)
	if response := post(t, f, token.AccessToken); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d after Forget, want 401", response.StatusCode)
	}
	if reason := s.lastReason(); reason != verifier.ReasonInactive {
		t.Errorf("reason %q, want %q", reason, verifier.ReasonInactive)
	}
	if token.RefreshToken == "" {
		t.Fatal("no refresh token")
	}
	// It may be active too; it opens nothing here.
	if response := post(t, f, token.RefreshToken); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d for a refresh token, want 401", response.StatusCode)
	}
}

func TestTokensThatIntrospectionRefuses(t *testing.T) {
	for name, change := range map[string]func(*verifier.IntrospectionConfig){"plain": nil, "signed": requireSigned} {
		t.Run(name, func(t *testing.T) {
			f, s, p, _ := introspected(t, change)
			good := p.machineToken(t, f.resource, "mcp:tools")
			for _, c := range []struct {
				name   string
				token  string
				status int
				reason verifier.Reason
			}{
				{"unknown", "nonsense", 401, verifier.ReasonInactive},
				{"characters that a form must escape", "a+b/c==", 401, verifier.ReasonInactive},
				{"for another resource", p.machineToken(t, f.resource+"/other", "mcp:tools"), 401, verifier.ReasonAudience},
				{"without the scope", p.machineToken(t, f.resource, "mcp:admin"), 403, ""},
				{"good", good, 200, ""},
			} {
				t.Run(c.name, func(t *testing.T) {
					if response := post(t, f, c.token); response.StatusCode != c.status {
						t.Errorf("status %d, want %d: %v", response.StatusCode, c.status, s.events.all()[len(s.events.all())-1].Err)
					}
					if reason := s.lastReason(); reason != c.reason {
						t.Errorf("reason %q, want %q", reason, c.reason)
					}
				})
			}
		})
	}
}

// This provider answers 400 unsupported_token_type when it is asked about a JWT.
// Whoever sends them must not get in, nor stop the others.
func TestJWTsDoNotDisturbIntrospection(t *testing.T) {
	f, _, p, _ := introspected(t, nil)
	for n := range 20 {
		payload := strings.Repeat("A", 4+4*n)
		if response := post(t, f, "eyJhbGciOiJFUzI1NiJ9."+payload+"."+payload); response.StatusCode == http.StatusOK {
			t.Fatal("a JWT that nobody signed is accepted")
		}
	}
	if response := post(t, f, p.machineToken(t, f.resource, "mcp:tools")); response.StatusCode != http.StatusOK {
		t.Errorf("status %d for a good token after bad ones, want 200", response.StatusCode)
	}
}

func TestIntrospectionWithEachClientAuthentication(t *testing.T) {
	p := newProvider(t, "ES256", true)
	const resource = "http://127.0.0.1:1/mcp"
	for name, auth := range map[string]clientauth.Method{
		"client_secret_basic": clientauth.SecretBasic("gatehouse", secret),
		"client_secret_post":  clientauth.SecretPost("gatehouse-post", secret),
		"private_key_jwt": clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
			ClientID: "gatehouse-key", Key: clientauth.Key{Signer: p.clientKey(t), Algorithm: "ES256"},
		}),
	} {
		t.Run(name, func(t *testing.T) {
			config := introspecting(resource, p)
			config.Auth = auth
			token, err := newIntrospection(t, config).Verify(t.Context(), p.machineToken(t, resource, "mcp:tools"))
			if err != nil {
				t.Fatal(err)
			}
			if token.ClientID != "machine" || token.Subject != "machine" || token.Issuer != p.issuer || !token.Scopes.Has("mcp:tools") {
				t.Errorf("client %q, subject %q, issuer %q, scopes %q", token.ClientID, token.Subject, token.Issuer, token.Scopes)
			}
		})
	}
}

// clientKey is the private key of the client "gatehouse-key".
func (p *provider) clientKey(t *testing.T) crypto.Signer {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(p.keys), "client.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("client.pem is no PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		t.Fatalf("%T signs nothing", key)
	}
	return signer
}

func TestWrongCredentialsAreTheOperatorsFault(t *testing.T) {
	f, s, p, _ := introspected(t, func(config *verifier.IntrospectionConfig) { config.Auth = clientauth.SecretBasic("gatehouse", "wrong") })
	response := post(t, f, p.machineToken(t, f.resource, "mcp:tools"))
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("status %d, challenge %q", response.StatusCode, response.Header.Get("WWW-Authenticate"))
	}
	last := s.events.all()[len(s.events.all())-1]
	if !errors.Is(last.Err, verifier.ErrOurCredentials) || last.Outcome != middleware.OutcomeUnavailable {
		t.Errorf("outcome %q, %v", last.Outcome, last.Err)
	}
}

// Between us and the provider somebody asks for plain answers.
func TestSignedAnswersCannotBeDowngraded(t *testing.T) {
	way := newAnswers(t)
	way.accept = "application/json"
	f, _, p, _ := introspected(t, func(config *verifier.IntrospectionConfig) { config.Transport = way; requireSigned(config) })
	if response := post(t, f, p.machineToken(t, f.resource, "mcp:tools")); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", response.StatusCode)
	}
	if kinds := way.kinds.all(); len(kinds) == 0 || kinds[0] != "application/json" {
		t.Errorf("the provider answered %q", kinds)
	}
}

func TestRememberedTokensOutliveAnOutageForTheTTL(t *testing.T) {
	f, _, p, _ := introspected(t, nil)
	known, unknown := p.machineToken(t, f.resource, "mcp:tools"), p.machineToken(t, f.resource, "mcp:tools")
	if response := post(t, f, known); response.StatusCode != http.StatusOK {
		t.Fatalf("status %d, want 200", response.StatusCode)
	}
	p.stop()
	if response := post(t, f, known); response.StatusCode != http.StatusOK {
		t.Errorf("status %d for a remembered token, want 200", response.StatusCode)
	}
	response := post(t, f, unknown)
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("status %d, challenge %q", response.StatusCode, response.Header.Get("WWW-Authenticate"))
	}
	retryAfter(t, response)
}

// RS256 signs the same answer alike. Two tokens of one client, issued and asked
// about within the same seconds, then have the same signed answer.
func TestSignedAnswersAboutTwoTokensThatAreAlike(t *testing.T) {
	p := newProvider(t, "RS256", true)
	const resource = "http://127.0.0.1:1/mcp"
	config := introspecting(resource, p)
	requireSigned(&config)
	config.Algorithms = []string{"RS256"}
	judge := newIntrospection(t, config)
	var tokens []string
	for range 20 {
		tokens = append(tokens, p.machineToken(t, resource, "mcp:tools"))
	}
	for n, token := range tokens {
		if _, err := judge.Verify(t.Context(), token); err != nil {
			t.Errorf("token %d: %v", n, err)
		}
	}
}
