package middleware_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func (c *catalogue) algorithm(t *testing.T) {
	w := c.world(t)
	payload := w.payload()
	for name, header := range map[string]string{
		"": `{"alg":"none","kid":"r1","typ":"at+jwt"}`, " without kid": `{"alg":"none","typ":"at+jwt"}`,
		" without typ": `{"alg":"none","kid":"r1"}`, " alone": `{"alg":"none"}`, " in another case": `{"alg":"nOnE","kid":"r1","typ":"at+jwt"}`,
		", which is empty": `{"alg":"","kid":"r1","typ":"at+jwt"}`, ", which is absent": `{"kid":"r1","typ":"at+jwt"}`,
	} {
		signed := catalogueSign("RS256", header, payload)
		w.rows(t,
			catalogueRow{name: "HA-01 alg none" + name + ", signature empty", token: signed[:strings.LastIndexByte(signed, '.')+1], reason: verifier.ReasonAlgorithm},
			catalogueRow{name: "HA-01 alg none" + name + ", signature kept", token: signed, reason: verifier.ReasonAlgorithm},
		)
	}
	for _, name := range []string{"ALG", "Alg", "aLG"} {
		w.rows(t, catalogueRow{name: "HA-04 only " + name, token: catalogueSign("RS256", `{"`+name+`":"RS256","kid":"r1","typ":"at+jwt"}`, payload), reason: verifier.ReasonHeader})
	}
	for _, alg := range []string{`"rs256"`, `"Rs256"`, `" RS256"`, `"RS256 "`, `"RS256\n"`, `"RS256\u0000"`, `"ES-256"`, `"RSA256"`, `"RS1"`} {
		w.rows(t, catalogueRow{name: "HA-05 alg " + alg, token: w.token(catalogueRaw{"alg": alg}, nil), reason: verifier.ReasonAlgorithm})
	}
	for _, alg := range []string{"null", "1", "true", `["RS256"]`, `{"RS256":1}`} {
		w.rows(t, catalogueRow{name: "HA-05 alg that is no string: " + alg, token: w.token(catalogueRaw{"alg": alg}, nil)})
	}
	// RS384 is in the default list, and the JWK has no alg: the issuer's own list
	// decides.
	only := c.world(t, func(s *catalogueSetup) { s.a.Algorithms = []string{"RS256", "ES256"} })
	for _, alg := range []string{"RS384", "RS512", "PS256"} {
		token := catalogueSign(alg, catalogueNamed(alg, "r1"), only.payload())
		only.rows(t, catalogueRow{name: "HA-57 " + alg + " is not in the issuer's list", token: token, reason: verifier.ReasonAlgorithm})
		w.rows(t, catalogueRow{name: "HA-57 control: " + alg + " by default", token: token, want: ok})
	}
}

// catalogueSecrets lists what an attacker can know of A's public keys.
func catalogueSecrets(t *testing.T, w *catalogueWorld) (secrets map[string][]byte) {
	t.Helper()
	key := &catalogueKeys().rsa.PublicKey
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a"}, NotAfter: time.Unix(1<<32, 0)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key, catalogueKeys().rsa)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	text := block("PUBLIC KEY", spki)
	point, err := catalogueKeys().p256.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"HA-06 SPKI PEM":                       text,
		"HA-06 SPKI PEM without final newline": bytes.TrimSuffix(text, []byte("\n")),
		"HA-06 SPKI PEM with CRLF":             bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")),
		"HA-06 SPKI PEM with a leading blank":  append([]byte(" "), text...),
		"HA-06 SPKI DER":                       spki,
		"HA-06 PKCS 1 PEM":                     block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(key)),
		"HA-06 certificate PEM":                block("CERTIFICATE", certificate),
		"HA-06 modulus":                        key.N.Bytes(),
		"HA-06 nothing":                        nil,
		"HA-07 JWK as served":                  []byte(catalogueKeys().published()[0]),
		"HA-07 canonical JWK":                  fmt.Appendf(nil, `{"e":"AQAB","kty":"RSA","n":%q}`, catalogueSegment(key.N.Bytes())),
		"HA-07 whole key set":                  w.a.JWKS(),
		"HA-07 x of e1":                        point[1:33],
		"HA-07 x and y of e1":                  point[1:],
		"HA-07 point of e1":                    point,
	}
}

func (c *catalogue) hmac(t *testing.T) {
	w := c.world(t)
	secrets := catalogueSecrets(t, w)
	for _, name := range catalogueSorted(secrets) {
		for _, alg := range []string{"HS256", "HS384", "HS512"} {
			kid := "r1"
			if strings.Contains(name, "e1") {
				kid = "e1"
			}
			w.rows(t, catalogueRow{name: name + " as " + alg, token: catalogueHMAC(alg, catalogueNamed(alg, kid), w.payload(), secrets[name]), reason: verifier.ReasonAlgorithm})
		}
		w.rows(t, catalogueRow{name: name + " as HMAC that says RS256", token: catalogueHMAC("HS256", catalogueHeader(), w.payload(), secrets[name]), reason: verifier.ReasonSignature})
	}
	header := `{"alg":"HS256","typ":"at+jwt","jwk":{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}}`
	w.rows(t,
		catalogueRow{name: "HA-11 symmetric jwk", token: catalogueHMAC("HS256", header, w.payload(), []byte("secretsecretsecretsecretsecret")), reason: verifier.ReasonAlgorithm},
		catalogueRow{name: "HA-11 symmetric jwk, alg RS256", reason: verifier.ReasonSignature,
			token: catalogueHMAC("HS256", strings.Replace(header, "HS256", `RS256","kid":"r1`, 1), w.payload(), []byte("secretsecretsecretsecretsecret"))},
	)
}

func (c *catalogue) parameters(t *testing.T) {
	w := c.world(t)
	attacker, err := authtest.NewKey("ES256", "evil")
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := attacker.JWK()
	if err != nil {
		t.Fatal(err)
	}
	forged := func(members catalogueRaw) string {
		token, err := attacker.Sign([]byte(catalogueHeader(catalogueRaw{"alg": `"ES256"`, "kid": `"e1"`}, members)), []byte(w.payload()))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	w.rows(t, catalogueRow{name: "HA-11 the attacker's own jwk", token: forged(catalogueRaw{"jwk": string(jwk)}), reason: verifier.ReasonSignature})
	for _, jku := range []string{"https://evil.example/jwks", "http://169.254.169.254/", "file:///etc/passwd", "data:application/json,{}", catalogueB + "/jwks"} {
		for _, name := range []string{"jku", "x5u"} {
			w.rows(t,
				catalogueRow{name: "HA-12 " + name + " " + jku, token: forged(catalogueRaw{name: strconv.Quote(jku)}), reason: verifier.ReasonSignature},
				catalogueRow{name: "HA-12 " + name + " " + jku + ", unknown kid", refresh: true, reason: verifier.ReasonUnknownKey,
					token: forged(catalogueRaw{name: strconv.Quote(jku), "kid": `"evil"`})},
				catalogueRow{name: "HA-12 " + name + " " + jku + " as iss", reason: verifier.ReasonIssuer,
					token: catalogueSign("RS256", catalogueHeader(catalogueRaw{name: strconv.Quote(jku)}), w.payload(catalogueRaw{"iss": strconv.Quote(jku)}))},
			)
		}
	}
	// Certificate digests select nothing here: they are ignored.
	w.rows(t,
		catalogueRow{name: "HA-14 x5t that fits nothing is ignored", token: w.token(catalogueRaw{"x5t": `"AAAAAAAAAAAAAAAAAAAAAAAAAAA"`}, nil), want: ok},
		catalogueRow{name: "HA-14 x5t#S256 that fits nothing is ignored", token: w.token(catalogueRaw{"x5t#S256": `"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"`}, nil), want: ok},
		catalogueRow{name: "HA-14 x5t selects no key", token: w.token(catalogueRaw{"kid": `"zz"`, "x5t": `"r1"`}, nil), refresh: true, reason: verifier.ReasonUnknownKey},
	)
	for _, kid := range []string{
		"../../dev/null", "' OR 1=1--", "$(id)", "`id`", "%0d%0aX:1", "{{7*7}}", `kid"} evil{`, "r1\x00", "\x00", "r1 ", " r1", "R1", "r1/", "r1,e1", "r1\r\nX-Evil: 1",
		"\x1b[31mevil-kid-value", "evil-kid-\u202e-value", "evil-kid-\u2028-value", "https://evil.example/kid", strings.Repeat("k", 1000),
	} {
		w.rows(t, catalogueRow{name: "HA-15 TS-43 kid " + strconv.QuoteToASCII(kid[:min(len(kid), 24)]), token: w.token(catalogueRaw{"kid": catalogueQuoted(kid)}, nil), refresh: true, reason: verifier.ReasonUnknownKey})
	}
	for name, size := range map[string]int{"4 KiB": 4 << 10, "1 MiB": 1 << 20} {
		w.rows(t, catalogueRow{name: "HA-15 kid of " + name, token: w.token(catalogueRaw{"kid": `"` + strings.Repeat("k", size) + `"`}, nil), reason: verifier.ReasonTooLarge})
	}
	for _, kid := range []string{"1", "null", "true", `["r1"]`, `{"r1":1}`} {
		w.rows(t, catalogueRow{name: "HA-16 kid " + kid, token: w.token(catalogueRaw{"kid": kid}, nil), reason: verifier.ReasonHeader})
	}
	w.rows(t, catalogueRow{name: "HA-16 kid empty", token: w.token(catalogueRaw{"kid": `""`}, nil), refresh: true, reason: verifier.ReasonUnknownKey})
	row := func(name string, header catalogueRaw) {
		w.rows(t, catalogueRow{name: name, token: w.token(header, nil), reason: verifier.ReasonHeader})
	}
	row("HA-23 crit of exp", catalogueRaw{"crit": `["exp"]`})
	row("HA-23 crit of x", catalogueRaw{"crit": `["x"]`, "x": "1"})
	for _, crit := range []string{"[]", "null", `"x"`, "1", "{}", `["alg"]`} {
		row("HA-23 crit "+crit, catalogueRaw{"crit": crit})
	}
	row("HA-25 b64 false without crit", catalogueRaw{"b64": "false"})
	row("HA-25 b64 false with crit, payload encoded", catalogueRaw{"b64": "false", "crit": `["b64"]`})
	bare := strings.NewReplacer(".", "", " ", "", ",", "", `"`, "").Replace(w.payload())
	w.rows(t, catalogueRow{name: "HA-25 b64 false with crit, payload bare", reason: verifier.ReasonHeader,
		token: catalogueSignText("RS256", catalogueSegment(catalogueHeader(catalogueRaw{"b64": "false", "crit": `["b64"]`})), bare)})
	row("HA-26 b64 true with crit, ours is 401", catalogueRaw{"b64": "true", "crit": `["b64"]`})
	row("HA-26 b64 true without crit, ours is 401", catalogueRaw{"b64": "true"})
	row("HA-40 zip in a JWS, ours is 401", catalogueRaw{"zip": `"DEF"`})
}

func (c *catalogue) types(t *testing.T) {
	strict := c.world(t, func(s *catalogueSetup) { s.a.Types = []string{"at+jwt"} })
	strict.rows(t,
		catalogueRow{name: "HA-27 typ absent, strict issuer", token: strict.token(catalogueRaw{"typ": ""}, nil), reason: verifier.ReasonType},
		catalogueRow{name: "HA-27 typ JWT, strict issuer", token: strict.token(catalogueRaw{"typ": `"JWT"`}, nil), reason: verifier.ReasonType},
	)
	// Most providers send JWT or nothing: by default both are accepted, and strict
	// is one field of the Issuer.
	w := c.world(t)
	w.rows(t,
		catalogueRow{name: "HA-27 typ absent, accepted by default", token: w.token(catalogueRaw{"typ": ""}, nil), want: ok},
		catalogueRow{name: "HA-27 typ JWT, accepted by default", token: w.token(catalogueRaw{"typ": `"JWT"`}, nil), want: ok},
	)
	for _, world := range []*catalogueWorld{w, strict} {
		for _, typ := range []string{"at+jwt", "application/at+jwt", "AT+JWT", "Application/At+Jwt"} {
			world.rows(t, catalogueRow{name: "HA-28 typ " + typ, token: world.token(catalogueRaw{"typ": strconv.Quote(typ)}, nil), want: ok})
		}
	}
	for _, typ := range []string{
		"at+jwt;x=1", " at+jwt", "at+jwt ", "at+jwt\n", "at+jwt\x00", "xat+jwt", "at+jwtx", "application/application/at+jwt", "text/at+jwt", "application/", "",
	} {
		if typ == "" { // the same as absent, which only a strict issuer refuses
			strict.rows(t, catalogueRow{name: "HA-29 typ empty, strict issuer", token: strict.token(catalogueRaw{"typ": `""`}, nil), reason: verifier.ReasonType})
			continue
		}
		w.rows(t, catalogueRow{name: "HA-29 typ " + strconv.Quote(typ), token: w.token(catalogueRaw{"typ": catalogueQuoted(typ)}, nil), reason: verifier.ReasonType})
	}
	for _, typ := range []string{`["at+jwt"]`, "null", "1", `{"at+jwt":1}`} {
		w.rows(t, catalogueRow{name: "HA-29 typ " + typ, token: w.token(catalogueRaw{"typ": typ}, nil), reason: verifier.ReasonHeader})
	}
	scoped := authtest.Claims{"aud": resource, "scope": "files:read"}
	identity := func(more authtest.Claims) string {
		for name, value := range scoped {
			more[name] = value
		}
		return w.a.IDToken(more)
	}
	refused := func(name, token string, reason verifier.Reason) {
		w.rows(t, catalogueRow{name: name, token: token, reason: reason})
	}
	refused("HA-30 ID token with nonce", identity(authtest.Claims{"nonce": "nonce-0123456789abcdef"}), verifier.ReasonType)
	refused("HA-30 ID token with at_hash", identity(authtest.Claims{"at_hash": "77QmUPtjPfzWtF2AnpK9RQ"}), verifier.ReasonType)
	refused("HA-30 ID token with c_hash", identity(authtest.Claims{"c_hash": "77QmUPtjPfzWtF2AnpK9RQ"}), verifier.ReasonType)
	refused("HA-30 ID token of the client", w.a.IDToken(nil), verifier.ReasonAudience)
	typed := func(typ string, claims catalogueRaw) string {
		return w.token(catalogueRaw{"typ": strconv.Quote(typ)}, claims)
	}
	answer := catalogueRaw{"token_introspection": `{"active":true,"sub":"` + catalogueSubject + `"}`}
	refused("HA-32 introspection answer", typed("token-introspection+jwt", answer), verifier.ReasonType)
	refused("HA-32 introspection answer that says at+jwt", typed("at+jwt", answer), verifier.ReasonType)
	refused("HA-33 DPoP proof", typed("dpop+jwt", catalogueRaw{"htm": `"POST"`, "htu": strconv.Quote(resource), "ath": `"x"`}), verifier.ReasonType)
	refused("HA-33 DPoP proof without iss", catalogueSign("ES256", `{"typ":"dpop+jwt","alg":"ES256","jwk":`+catalogueJWK(catalogueKeys().p256.Public())+`}`,
		`{"htm":"POST","htu":"https://mcp.example.com/mcp","iat":`+catalogueIn(0)+`,"jti":"proof-0123456789"}`), verifier.ReasonIssuer)
	client := catalogueRaw{"iss": `"` + catalogueClient + `"`, "sub": `"` + catalogueClient + `"`}
	refused("HA-34 client assertion", typed("client-authentication+jwt", client), verifier.ReasonIssuer)
	refused("HA-34 client assertion, typ JWT", typed("JWT", client), verifier.ReasonIssuer)
	for _, typ := range []string{"client-authentication+jwt", "oauth-authz-req+jwt", "secevent+jwt", "logout+jwt", "rt+jwt", "refresh+jwt", "dc+sd-jwt", "id+jwt", "entity-statement+jwt"} {
		refused("HA-34 typ "+typ, typed(typ, nil), verifier.ReasonType)
	}
	refused("HA-34 security event that says JWT", typed("JWT", catalogueRaw{"events": `{"https://schemas.example/event":{}}`}), verifier.ReasonType)
	refused("HA-34 SD-JWT with a disclosure", w.good()+"~WyJzYWx0IiwiYSIsMV0~", verifier.ReasonMalformed)
}

// catalogueEncrypt returns a JWE by RSA-OAEP-256 and A256GCM (RFC 7516 §3.3).
func catalogueEncrypt(t *testing.T, public *rsa.PublicKey, header, plain string) string {
	t.Helper()
	random := make([]byte, 44)
	_, _ = rand.Read(random) // never fails
	key, nonce := random[:32], random[32:]
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	protected := catalogueSegment(header)
	sealed := gcm.Seal(nil, nonce, []byte(plain), []byte(protected))
	cut := len(sealed) - gcm.Overhead()
	return strings.Join([]string{protected, catalogueSegment(wrapped), catalogueSegment(nonce), catalogueSegment(sealed[:cut]), catalogueSegment(sealed[cut:])}, ".")
}

func (c *catalogue) encryption(t *testing.T) {
	w := c.world(t)
	unsigned := catalogueSegment(`{"alg":"none"}`) + "." + catalogueSegment(w.payload()) + "."
	for name, plain := range map[string]string{"alg none": unsigned, "claims": w.payload(), "a good token": w.good()} {
		w.rows(t, catalogueRow{name: "HA-36 JWE around " + name, reason: verifier.ReasonMalformed,
			token: catalogueEncrypt(t, &catalogueKeys().rsa.PublicKey, `{"alg":"RSA-OAEP-256","enc":"A256GCM","cty":"JWT","kid":"r1","typ":"at+jwt"}`, plain)})
	}
	parts := strings.Split(catalogueEncrypt(t, &catalogueKeys().rsa.PublicKey, `{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":2147483647,"p2s":"c2FsdHNhbHQ"}`, unsigned), ".")
	w.rows(t,
		catalogueRow{name: "HA-38 PBES2 of 2147483647 rounds", token: strings.Join(parts, "."), reason: verifier.ReasonMalformed, octets: 4 << 10},
		catalogueRow{name: "HA-38 PBES2 header on a JWS", reason: verifier.ReasonAlgorithm,
			token: w.token(catalogueRaw{"alg": `"PBES2-HS256+A128KW"`, "p2c": "2147483647", "p2s": `"c2FsdHNhbHQ"`}, nil)},
		catalogueRow{name: "HA-36 JWE header in three parts", token: strings.Join(slices.Delete(parts, 1, 3), "."), reason: verifier.ReasonMalformed},
	)
}
