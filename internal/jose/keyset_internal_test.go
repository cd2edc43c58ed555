package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"testing"
)

// harmless reports whether a JWK, as encoding/json reads it, is of an asymmetric
// kind and has no private member.
func harmless(members map[string]json.RawMessage) bool {
	var kind string
	if json.Unmarshal(members["kty"], &kind) != nil || !slices.Contains([]string{"RSA", "EC", "OKP"}, kind) {
		return false
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
		var value string
		if raw, there := members[name]; there && (json.Unmarshal(raw, &value) != nil || value != "") {
			return false
		}
	}
	return true
}

// FuzzKeySet looks inside, because no caller can list the keys. A usable key is a
// public one of a safe kind, serves at least one alg and none that is symmetric,
// and can be found; there are no more of them than harmless JWKs.
func FuzzKeySet(f *testing.F) {
	const (
		ec = `{"kty":"EC","crv":"P-256","kid":"e","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
		ed = `{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	)
	for _, seed := range []string{
		``, `{}`, `null`, `{"keys":null}`, `{"keys":[]}`, `{"keys":[null,7,"x",{},[]]}`, `{"keys":[` + ec + `]}`, `{"keys":[` + ed + `]}`,
		`{"keys":[` + ec + `,` + ed + `]}`, `{"keys":[` + ec + `,` + ec + `]}`, `{"keys":[` + ed + `,` + ed + `]}`,
		`{"keys":[{"d":"AQ",` + ec[1:] + `]}`, `{"keys":[{"k":"AQ",` + ed[1:] + `]}`, `{"keys":[{"kty":"oct","k":"AAAA"},` + ec + `]}`,
		`{"keys":[{"kty":"RSA","n":"` + modulusText + `","e":"AQAB","kid":""}]}`, `{"keys":[{"kty":"RSA","n":"` + modulusText + `","e":"Aw","alg":"PS256","use":"sig"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`,
		`{"keys":[{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		`{"keys":[` + ec + `,{"kid":"e",` + ed[1:] + `]}`, `{"keys":[{"x5u":"http://127.0.0.1:1",` + ec[1:] + `]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		set, err := ParseKeySet(document)
		if err != nil {
			if set != nil {
				t.Fatal("error and a set")
			}
			return
		}
		var lenient struct{ Keys []map[string]json.RawMessage }
		_ = json.Unmarshal(document, &lenient) // one value of another type is no matter
		limit := 0
		for _, members := range lenient.Keys {
			if harmless(members) {
				limit++
			}
		}
		if set.Len() < 1 || set.Len() > limit {
			t.Errorf("%d usable keys, %d harmless ones", set.Len(), limit)
		}
		names := make(map[string]int)
		for _, key := range set.keys {
			names[key.ID]++
			if !safePublic(key) {
				t.Errorf("usable: %T", key.jwk.Key())
			}
			if m := key.jwk.Marshal(); m.D != "" || m.K != "" || m.P != "" {
				t.Error("a private member stayed")
			}
			served := slices.DeleteFunc(Algorithms(), func(alg string) bool { return !key.Serves(alg) })
			if len(served) == 0 || len(served) != len(key.algorithms) {
				t.Errorf("serves %v of %v", served, key.algorithms)
			}
			if key.ID != "" && set.Find(&JWS{Algorithm: served[0], KeyID: key.ID, HasKeyID: true}) != key {
				t.Errorf("%q is not found", key.ID)
			}
			for _, alg := range []string{"", "none", "HS256"} {
				if key.Serves(alg) || key.Verify(&JWS{Algorithm: alg}) {
					t.Errorf("serves %q", alg)
				}
			}
			if key.Verify(&JWS{Algorithm: served[0], signed: "e30.e30", signature: make([]byte, 64)}) {
				t.Error("verifies zeros")
			}
		}
		for name, n := range names {
			if name != "" && n > 1 {
				t.Errorf("%d keys are named %q", n, name)
			}
		}
		again, err := ParseKeySet(document)
		if err != nil || !set.Equal(again) {
			t.Errorf("not equal to itself: %v", err)
		}
	})
}

// safePublic repeats the bounds in other words.
func safePublic(key *Key) bool {
	switch public := key.jwk.Key().(type) {
	case *rsa.PublicKey:
		return public.Size() >= 256 && public.Size() <= 1024 && public.E > 2
	case *ecdsa.PublicKey:
		_, err := public.ECDH()
		return err == nil
	case ed25519.PublicKey:
		return len(public) == ed25519.PublicKeySize
	}
	return false
}

// modulusText is the modulus of RFC 7515 §A.2.1.
const modulusText = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ" +
	"S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV" +
	"MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
