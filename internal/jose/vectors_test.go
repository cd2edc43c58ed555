package jose_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

// readVectors decodes a file of published vectors, which are kept beside the
// project and not in it. The test is skipped where they are absent.
func readVectors(t *testing.T, name string, v any) {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if root == filepath.Dir(root) {
			t.Fatal("no go.mod above the test")
		}
		root = filepath.Dir(root)
	}
	text, err := os.ReadFile(filepath.Join(root, "..", "shared", "vectors", filepath.FromSlash(name)))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("published vectors are not here: ../shared/vectors/%s", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatal(err)
	}
}

// wycheproof is the common form of the three files.
type wycheproof struct {
	Groups []struct {
		Comment string
		Public  json.RawMessage
		Private json.RawMessage
		Tests   []struct {
			ID      int `json:"tcId"`
			Comment string
			JWS     string
			JWE     string
			Result  string
		}
	} `json:"testGroups"`
}

// overrides says which vectors are wrong, or are decided otherwise by a verifier
// of asymmetric signatures that binds alg to the key.
type overrides struct {
	JWS struct {
		Skip         map[int]string            `json:"contradictory_skip"`
		ForceInvalid map[int]string            `json:"force_invalid"`
		KeyAlgTypo   map[int]string            `json:"key_alg_typo"`
		Symmetric    struct{ Ranges [][2]int } `json:"symmetric_only"`
		Asymmetric   struct{ Ranges [][2]int } `json:"asymmetric"`
	} `json:"json_web_signature_test.json"`
	JWK struct {
		Asymmetric []int          `json:"asymmetric"`
		Symmetric  []int          `json:"symmetric_or_oct"`
		Optional   map[int]string `json:"optional"`
	} `json:"json_web_key_test.json"`
}

func within(ranges [][2]int, id int) bool {
	for _, r := range ranges {
		if r[0] <= id && id <= r[1] {
			return true
		}
	}
	return false
}

// setOf reads a published JWK or JWK Set as a provider's key set.
func setOf(key json.RawMessage) (*jose.KeySet, error) {
	var members struct{ Keys json.RawMessage }
	if json.Unmarshal(key, &members) == nil && members.Keys != nil {
		return jose.ParseKeySet(key)
	}
	return jose.ParseKeySet(document(string(key)))
}

func vectorName(id int, comment string) string { return strconv.Itoa(id) + " " + comment }

func TestWycheproof_JWS(t *testing.T) {
	var file wycheproof
	var override overrides
	readVectors(t, "json_web_signature_test.json", &file)
	readVectors(t, "wycheproof_overrides.json", &override)
	rules := override.JWS
	var symmetric, asymmetric, valid, skipped int
	for _, group := range file.Groups {
		for _, test := range group.Tests {
			_, forced := rules.ForceInvalid[test.ID]
			_, typo := rules.KeyAlgTypo[test.ID]
			want := test.Result == "valid" && !forced && !typo
			switch {
			case within(rules.Symmetric.Ranges, test.ID):
				symmetric++
				want = false
			case within(rules.Asymmetric.Ranges, test.ID):
				asymmetric++
				if want {
					valid++
				}
			default:
				t.Errorf("vector %d is in no range", test.ID)
			}
			t.Run(vectorName(test.ID, test.Comment), func(t *testing.T) {
				t.Parallel()
				key := group.Public
				if key == nil {
					key = group.Private
				}
				set, err := setOf(key)
				if err != nil {
					if want {
						t.Errorf("the key is refused: %v", err)
					}
					return
				}
				if got := accepts(set, test.JWS); got != want {
					t.Errorf("accepted: %t, want %t", got, want)
				}
			})
			// What is wrong with these is their spelling, so that Parse alone must see it.
			if group.Comment != "base64" {
				continue
			}
			if _, skip := rules.Skip[test.ID]; skip {
				skipped++
				continue
			}
			t.Run("spelling of "+vectorName(test.ID, test.Comment), func(t *testing.T) {
				t.Parallel()
				_, err := jose.Parse(test.JWS)
				if got, want := err == nil, test.Result == "valid" && !forced; got != want {
					t.Errorf("parsed: %t, want %t", got, want)
				}
			})
		}
	}
	if symmetric != 40 || asymmetric != 361 || valid != 32 || skipped != 2 {
		t.Errorf("%d symmetric, %d asymmetric of which %d valid, %d skipped", symmetric, asymmetric, valid, skipped)
	}
}

// A symmetric token must be refused also where the set has good keys, under the
// very kid that the token names.
func TestWycheproof_symmetric_JWS_beside_good_keys(t *testing.T) {
	var file wycheproof
	var override overrides
	readVectors(t, "json_web_signature_test.json", &file)
	readVectors(t, "wycheproof_overrides.json", &override)
	for _, group := range file.Groups {
		for _, test := range group.Tests {
			if !within(override.JWS.Symmetric.Ranges, test.ID) {
				continue
			}
			t.Run(vectorName(test.ID, test.Comment), func(t *testing.T) {
				t.Parallel()
				good := jwk(rsaKey().Public())
				if parsed, err := jose.Parse(test.JWS); err == nil && parsed.HasKeyID {
					good = jwk(rsaKey().Public(), "kid", parsed.KeyID)
				}
				set := keySet(t, good, jwk(edKey().Public(), "kid", "d1"))
				if accepts(set, test.JWS) {
					t.Error("accepted")
				}
			})
		}
	}
}

func TestWycheproof_JWK(t *testing.T) {
	var file wycheproof
	var override overrides
	readVectors(t, "json_web_key_test.json", &file)
	readVectors(t, "wycheproof_overrides.json", &override)
	rules := override.JWK
	asymmetric := make(map[int]bool)
	for _, id := range rules.Asymmetric {
		asymmetric[id] = true
	}
	symmetric := make(map[int]bool)
	for _, id := range rules.Symmetric {
		symmetric[id] = true
	}
	ran := 0
	for _, group := range file.Groups {
		for _, test := range group.Tests {
			ran++
			if asymmetric[test.ID] == symmetric[test.ID] {
				t.Errorf("vector %d is not in exactly one list", test.ID)
			}
			t.Run(vectorName(test.ID, test.Comment), func(t *testing.T) {
				t.Parallel()
				if note, ok := rules.Optional[test.ID]; ok {
					t.Skip(note)
				}
				key := group.Public
				if symmetric[test.ID] {
					key = group.Private
				}
				want := asymmetric[test.ID] && test.Result == "valid"
				set, err := setOf(key)
				if err != nil {
					if want {
						t.Errorf("the key is refused: %v", err)
					}
					return
				}
				if got := accepts(set, test.JWS); got != want {
					t.Errorf("accepted: %t, want %t", got, want)
				}
			})
		}
	}
	if ran != 26 || len(asymmetric) != 11 || len(symmetric) != 15 {
		t.Errorf("%d vectors, %d asymmetric, %d symmetric", ran, len(asymmetric), len(symmetric))
	}
}

// The private halves of the same vectors: a set that publishes them is compromised.
func TestWycheproof_JWK_private_keys_are_never_usable(t *testing.T) {
	var file wycheproof
	readVectors(t, "json_web_key_test.json", &file)
	seen := 0
	for _, group := range file.Groups {
		if group.Public == nil {
			continue
		}
		seen++
		if _, err := setOf(group.Private); !errors.Is(err, jose.ErrNoKeys) {
			t.Errorf("%s: %v", group.Comment, err)
		}
	}
	if seen != 11 {
		t.Errorf("%d private keys", seen)
	}
}

func TestWycheproof_JWE_is_refused_without_a_key(t *testing.T) {
	var file wycheproof
	readVectors(t, "json_web_encryption_test.json", &file)
	count := 0
	for _, group := range file.Groups {
		for _, test := range group.Tests {
			count++
			if _, err := jose.Parse(test.JWE); err == nil {
				t.Errorf("%s: parsed", vectorName(test.ID, test.Comment))
			}
		}
	}
	if count != 139 {
		t.Errorf("%d vectors", count)
	}
}

func TestRFC_examples(t *testing.T) {
	var file struct {
		Vectors []struct {
			ID  string
			JWS string
			JWK json.RawMessage
		}
	}
	readVectors(t, "rfc/rfc_vectors.json", &file)
	want := map[string]bool{
		"rfc7515-a1": false, "rfc7515-a2": true, "rfc7515-a3": true, "rfc7515-a4": true, "rfc7515-a5": false,
		"rfc8037-a4": true,
		// Proofs, signed by the key that their header carries: here only their signatures count.
		"rfc9449-4.1": true, "rfc9449-5-refresh": true, "rfc9449-7.1": true,
		"rfc9449-6.1": false, // its key is not published
	}
	for _, vector := range file.Vectors {
		t.Run(vector.ID, func(t *testing.T) {
			expected, known := want[vector.ID]
			if !known {
				t.Fatal("no expectation")
			}
			set := fullSet(t)
			if own, err := setOf(vector.JWK); err == nil {
				set = own
			} else if expected {
				t.Fatalf("the key is refused: %v", err)
			}
			if got := accepts(set, vector.JWS); got != expected {
				t.Errorf("accepted: %t, want %t", got, expected)
			}
		})
		delete(want, vector.ID)
	}
	if len(want) > 0 {
		t.Errorf("vectors are missing: %v", want)
	}
}
