package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"slices"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

func TestNewSigningKey_takes_the_algorithms_that_the_key_can_serve(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range slices.Concat(jose.Algorithms(), []string{"", "none", "HS256", "es256"}) {
		got, err := jose.NewSigningKey(alg, "k", key)
		if (err == nil) != (alg == "ES256") || err == nil && (got.Algorithm() != alg || got.KeyID() != "k") {
			t.Errorf("%q: %v", alg, err)
		}
		if _, err := jose.NewSigningKey(alg, "k", p224); err == nil {
			t.Errorf("%q with P-224: accepted", alg)
		}
		if _, err := jose.NewSigningKey(alg, "k", nil); err == nil {
			t.Errorf("%q without a key: accepted", alg)
		}
	}
	var none crypto.Signer
	if _, err := jose.NewSigningKey("ES256", "", none); err == nil {
		t.Error("accepted a nil signer")
	}
}
